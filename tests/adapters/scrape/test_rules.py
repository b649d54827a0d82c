"""Archives described by rules, and spiders from outside the package."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydantic import ValidationError
from replica import Answer, Replica

from derlem.adapters.base import Context, Partitioning
from derlem.adapters.scrape.adapter import CrawlIncomplete, ScrapeAdapter, ScrapeOptions
from derlem.adapters.scrape.crawl import Crawl, Pipe
from derlem.adapters.scrape.process import CrawlFailed
from derlem.adapters.scrape.rules import CrawlSpec
from derlem.adapters.scrape.spiders.parsing import listed
from derlem.catalog.models import Item
from derlem.catalog.status import Reason
from derlem.core.errors import ConfigError
from derlem.core.workspace import Workspace

Crawls = Callable[..., list[Item]]
Served = Callable[[Any], Any]

RULES: dict[str, Any] = {
    "follow": [{"css": "a.title"}, {"xpath": "//a[@rel='next']"}, {"regex": r"/band-\d+$"}],
    "documents": {"css": "tr", "link": {"css": "td.file a"}},
    "metadata": {
        "title": "h1",
        "date": {"css": "td.date"},
        "issue": {"regex": r"nr(\d+)", "of": "url"},
        "shelf": {"xpath": "ancestor::table/@data-shelf"},
        "note": {"regex": r"Anm\. (\w+)"},
        "language": {"value": "tr"},
    },
}


class SmallArchive(Replica):
    """Serves pages by path. A spider does not request the `.pdf` links."""

    pages: dict[str, Answer]

    def build(self) -> None:
        self.pages = {
            "/": Answer(
                "<h1>Arşiv</h1><a class=title href='tan'>Tan</a> <a class=title href='/yok'>?</a>"
                "<a class=title href='http://elsewhere.invalid/'>x</a> <a class=title href='mailto:a@b'>@</a>"
                "<a href='/band-7'>7</a> <a href='/bant-7'>-</a>".encode("windows-1254")
            ),
            "/tan": Answer(
                "<h1> Tan\n gazetesi </h1><table data-shelf='B 12'>"
                "<tr><td class=date>5 Ağustos 1936<td class=file><a href='pdf//tan nr17_.pdf'>pdf</a>"
                "<tr><td class=date>6 Ağustos 1936<td>yok</table><a rel=next href='?s=2'>sonraki</a>".encode()
            ),
            "/tan?s=2": Answer(
                b"<h1>Tan gazetesi</h1><table data-shelf='B 13'><tr><td>Anm. eksik <td class=file>"
                b"<a href='/pdf/tan%20nr18.pdf'>pdf</a></table><a rel=next href='/tan?s=2'>son</a>"
            ),
            "/band-7": Answer(b"<h1>Band</h1><tr><td class=file><a href='javascript:x()'>pdf</a>"),
        }

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        return self.pages[path]


def test_rules_describe_a_simple_archive(served: Served, crawl: Crawls) -> None:
    archive = served(SmallArchive())
    items = crawl(
        "rules", f"{archive.base}/", **RULES, category="{title}/{shelf}/{year}", encoding="windows-1254"
    )
    first, second = (item for item in items if item.reason is None)
    assert first.uri == f"{archive.base}/pdf//tan%20nr17_.pdf"
    assert first.category == "Tan gazetesi/B 12/1936"
    assert first.language == "tr"
    assert first.meta == {
        "title": "Tan gazetesi",
        "date": "1936-08-05",
        "date_precision": "day",
        "date_text": "5 Ağustos 1936",
        "date_source": "text",
        "issue": "17",
        "language": "tr",
        "shelf": "B 12",
        "source_page": f"{archive.base}/tan",
        "spider": "rules",
    }
    assert second.uri == f"{archive.base}/pdf/tan%20nr18.pdf"
    assert second.category == "Tan gazetesi/B 13"
    assert second.meta["note"] == "eksik"
    (lost,) = (item for item in items if item.reason is not None)
    assert (lost.uri, lost.reason) == (f"{archive.base}/yok", Reason.HTTP_4XX)
    assert lost.meta["source_page"] == f"{archive.base}/"
    assert set(archive.count()) == {"/robots.txt", "/", "/tan", "/yok", "/tan?s=2", "/band-7"}


def test_links_by_attribute_and_regular_expression(served: Served, crawl: Crawls) -> None:
    archive = served(SmallArchive())
    archive.pages = {
        "/": Answer(b"<base href='/deep/'><img src='a.png'><a href='nr 2.PDF'>x</a><p data-u='b.tif'>")
    }
    documents = [{"css": "img::attr(src)"}, {"xpath": "//p/@data-u"}, {"regex": r"(?i)\.pdf$"}]
    items = crawl(
        "rules", f"{archive.base}/", documents=documents, metadata={"issue": {"regex": r"nr (\d+)"}}
    )
    assert [item.uri for item in items] == [
        f"{archive.base}/deep/{name}" for name in ("a.png", "b.tif", "nr%202.PDF")
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"spider": "unknown"}, "no spider 'unknown'"),
        ({"spider": "unknown.here:Spider"}, "cannot be loaded"),
        ({"spider": "json:JSONDecoder"}, "no subclass"),
        ({"documents": []}, "needs a rule for documents"),
        ({"category": "x/{shelf_mark}"}, "did you mean {shelf}"),
        ({"options": {"mimetype": "image/jpeg"}}, "options: mimetype"),
        ({"spider": "iiif"}, "takes no rules"),
        ({"spider": "iiif", "follow": [], "documents": []}, "only a fixed `value`"),
    ],
)
def test_rules_that_do_not_match_the_spider_are_errors(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    declared = {
        "source": "archive",
        "spider": "rules",
        "start": ["https://h.example/"],
        "user_agent": "derlem",
    }
    rules = {name: value if name == "metadata" else listed(value) for name, value in RULES.items()}
    spec = CrawlSpec.model_validate({**declared, **rules, "listings": tmp_path / "listings", **options})
    with pytest.raises(ConfigError, match=re.escape(message)):
        Crawl(spec, Pipe(-1)).run()
    assert not list(tmp_path.iterdir())


def test_an_unknown_spider_is_an_error_before_any_request(served: Served, crawl: Crawls) -> None:
    archive = served(SmallArchive())
    with pytest.raises(ConfigError, match="there is no spider") as error:
        crawl("unknown", archive.base)
    assert error.value.key == "spider"
    assert not archive.requests


@pytest.mark.parametrize(
    "options",
    [
        {"start": "ftp://h.example/"},
        {"start": []},
        {"follow": {"css": "a", "xpath": "//a"}},
        {"follow": {"regex": "("}},
        {"metadata": {"title": {"of": "page"}}},
        {"metadata": {"title": {"css": "h1", "value": "x"}}},
        {"metadata": {"title": {"css": "h1", "of": "url"}}},
        {"folow": "a"},
    ],
)
def test_declarations_are_checked(source: Callable[..., ScrapeOptions], options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        source(**{"spider": "rules", "start": "https://h.example/", "documents": "a", **options})


SPIDERS = '''
import os
from scrapy import Request
from derlem.adapters.scrape.spiders.base import ArchiveSpider

class Plain(ArchiveSpider):
    """Yields plain Scrapy requests."""
    name = "plain"
    fields = frozenset({"place"})
    follows_rules = False

    def parse(self, response):
        for link in response.css("a::attr(href)").getall():
            yield response.follow(link, self.parse_title)

    def parse_title(self, response):
        title = response.css("h1::text").get()
        yield self.document(response, response.url + ".pdf", title=title, place="Izmir")

class Breaks(Plain):
    name = "breaks"
    def parse_title(self, response):
        yield self.document(response, response.url + ".pdf")
        raise KeyError("year")

class Wrong(Plain):
    name = "wrong"
    def parse_title(self, response):
        yield {"url": response.url}

class Dies(Plain):
    name = "dies"
    def parse_title(self, response):
        yield self.document(response, response.url + ".pdf")
        if response.url.endswith("b"):
            print("goodbye", file=__import__("sys").stderr, flush=True)
            os.kill(os.getpid(), 9)

class Endless(Plain):
    name = "endless"
    def parse(self, response):
        for number in range(10_000_000):
            yield self.document(response, f"/{number}.pdf")
'''


@pytest.fixture
def spiders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module outside derlem that contains spiders."""
    (tmp_path / "own_spiders.py").write_text(SPIDERS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own_spiders"


@pytest.fixture
def titles(served: Served) -> SmallArchive:
    """An archive with an index and the titles a and b."""
    archive: SmallArchive = served(SmallArchive())
    archive.pages = {
        "/": Answer(b"<a href='a'>A</a><a href='b'>B</a><a href='c'>C</a>"),
        "/a": Answer(b"<h1>A</h1>"),
        "/b": Answer(b"<h1>B</h1>"),
    }
    return archive


def test_a_spider_outside_the_package(titles: SmallArchive, crawl: Crawls, spiders: str) -> None:
    items = crawl(f"{spiders}:Plain", titles.base, category="{place}/{title}")
    assert {(item.uri, item.category) for item in items if item.reason is None} == {
        (f"{titles.base}/a.pdf", "Izmir/A"),
        (f"{titles.base}/b.pdf", "Izmir/B"),
    }
    # A failed page is reported even if the spider does not handle failures.
    assert [(item.uri, item.reason) for item in items if item.reason] == [
        (f"{titles.base}/c", Reason.HTTP_4XX)
    ]


def test_a_page_that_the_spider_cannot_parse_is_reported(
    titles: SmallArchive, adapter: ScrapeAdapter, source: Callable[..., ScrapeOptions], spiders: str
) -> None:
    for name, detail, found in (("Breaks", "KeyError: 'year'", 3), ("Wrong", "yielded dict", 1)):
        items: list[Item] = []
        with pytest.raises(CrawlIncomplete, match=detail) as error:
            for batch in adapter.discover(source(f"{spiders}:{name}", titles.base)):
                items += batch
        assert len(error.value.listings) == 2
        assert len(items) == found


def test_a_crashed_spider_is_an_error_after_its_items(
    titles: SmallArchive, adapter: ScrapeAdapter, source: Callable[..., ScrapeOptions], spiders: str
) -> None:
    items: list[Item] = []
    with pytest.raises(CrawlFailed, match="goodbye") as error:
        for batch in adapter.discover(
            source(f"{spiders}:Dies", titles.base, limits={"per_host": {"concurrency": 1}})
        ):
            items += batch
    assert error.value.code == -signal.SIGKILL
    assert f"{titles.base}/a.pdf" in {item.uri for item in items}


def test_a_closed_reader_ends_the_spider_and_a_slow_reader_slows_it(
    titles: SmallArchive, adapter: ScrapeAdapter, source: Callable[..., ScrapeOptions], spiders: str
) -> None:
    batches = adapter.discover(source(f"{spiders}:Endless", titles.base))
    assert len(next(batches)) == 500
    (child,) = (
        process for process in psutil.Process().children() if "derlem.adapters.scrape" in process.cmdline()
    )
    time.sleep(0.5)
    size = child.memory_info().rss
    time.sleep(1)
    assert child.memory_info().rss < size + 20 * 2**20
    assert not any(port.status == psutil.CONN_LISTEN for port in child.net_connections())  # no remote control
    assert next(batches)[0].uri == f"{titles.base}/500.pdf"
    batches.close()  # type: ignore[attr-defined]  # a generator
    assert not child.is_running()


def test_without_scrapy_the_error_has_the_install_command(
    titles: SmallArchive, crawl: Crawls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scrapy.py").write_text("raise ModuleNotFoundError('no scrapy', name='scrapy')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    from derlem.core.errors import MissingExtra

    with pytest.raises(MissingExtra, match=r"pip install 'derlem\[scrape\]'"):
        crawl("iiif", titles.base)


def test_the_adapter_does_not_import_scrapy(workspace: Workspace) -> None:
    code = (
        "import sys, derlem.adapters.scrape.adapter;"
        " sys.exit('scrapy' in sys.modules or 'twisted' in sys.modules)"
    )
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0
    assert ScrapeAdapter(Context(workspace)).partitioning is Partitioning.BY_WORKER
