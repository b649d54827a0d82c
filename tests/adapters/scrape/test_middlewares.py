"""Crawls of hosts that forbid requests, are busy, fail, or have private addresses."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from replica import Answer, Replica

from derlem.adapters.base import Context
from derlem.adapters.http.fetch_options import FetchOptions
from derlem.adapters.scrape.adapter import CrawlIncomplete, ScrapeAdapter, ScrapeOptions
from derlem.catalog.models import Item
from derlem.catalog.status import Reason
from derlem.core.workspace import Workspace

Served = Callable[[Any], Any]
Source = Callable[..., ScrapeOptions]


class Archive(Replica):
    """An index of pages `/1`, `/2`, ... with a document each; `answers` are the first responses per path."""

    def __init__(self, pages: int = 3) -> None:
        self.pages = pages
        self.answers: dict[str, list[Answer]] = {}
        super().__init__()

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        with self.lock:
            if self.answers.get(path):
                answer = self.answers[path].pop(0)
                if "date" in answer.headers.get("Retry-After", ""):
                    answer.headers["Retry-After"] = formatdate(time.time() + 2, usegmt=True)
                return answer
        if path == "/":
            return Answer(
                b"".join(b"<a class=p href='/%d'>x</a>" % page for page in range(1, self.pages + 1))
            )
        return Answer(f"<a class=d href='{path[1:]}.pdf'>x</a>".encode())


@pytest.fixture
def archive(served: Served) -> Archive:
    started: Archive = served(Archive())
    return started


@pytest.fixture
def discover(
    adapter: ScrapeAdapter, source: Source
) -> Callable[..., tuple[list[Item], CrawlIncomplete | None]]:
    """`discover(archive)`: the items, and the final error or None."""

    def run(archive: Archive, **options: Any) -> tuple[list[Item], CrawlIncomplete | None]:
        declared = source("rules", f"{archive.base}/", follow="a.p", documents="a.d", **options)
        items: list[Item] = []
        try:
            for batch in adapter.discover(declared):
                items += batch
        except CrawlIncomplete as error:
            return items, error
        return items, None

    return run


Discover = Callable[..., tuple[list[Item], CrawlIncomplete | None]]


def test_pages_that_robots_txt_forbids_are_not_requested(archive: Archive, discover: Discover) -> None:
    archive.robots = Answer(
        b"User-agent: other\nDisallow: /\n\nUser-agent: derlem\nDisallow: /2\n", "text/plain"
    )
    items, error = discover(archive)
    assert error is None
    assert {(item.uri.rpartition("/")[2], item.reason) for item in items} == {
        ("1.pdf", None),
        ("2", Reason.ROBOTS),
        ("3.pdf", None),
    }
    assert "/2" not in archive.count()


def test_robots_txt_fails_closed(served: Served, adapter: ScrapeAdapter, source: Source) -> None:
    answers = {
        Reason.HTTP_5XX: Answer(status=500),
        Reason.HTTP_429: Answer(status=429),
        Reason.BODY_TRUNCATED: Answer(b"User-agent: *", cut=3),
        Reason.REDIRECT_LOOP: Answer(status=302, headers={"Location": "/robots.txt"}),
    }
    archives = {served(Archive()): reason for reason in answers}
    for archive, reason in archives.items():
        archive.robots = answers[reason]
    items: list[Item] = []
    with pytest.raises(CrawlIncomplete) as error:
        for batch in adapter.discover(source("rules", [one.base for one in archives], documents="a.d")):
            items += batch
    answer = dict(error.value.listings) | {item.uri: str(item.reason) for item in items}
    assert {url: why.partition(":")[0] for url, why in answer.items()} == {
        archive.base: reason.value for archive, reason in archives.items()
    }
    assert all(set(archive.count()) == {"/robots.txt"} for archive in archives)


def test_a_missing_robots_txt_allows_everything(archive: Archive, discover: Discover) -> None:
    archive.robots = Answer(status=404)
    assert len(discover(archive)[0]) == 3


def test_a_start_page_that_cannot_be_read_is_an_error(archive: Archive, discover: Discover) -> None:
    archive.answers["/"] = [Answer(status=403)]
    items, error = discover(archive)
    assert [item.reason for item in items] == [Reason.HTTP_4XX]
    assert error is not None


def test_retry_after_may_be_a_date(archive: Archive, discover: Discover) -> None:
    archive.answers["/"] = [Answer(status=503, headers={"Retry-After": "in two seconds, as a date"})]
    items, error = discover(archive)
    assert (len(items), error) == (3, None)
    first, second = (request.at for request in archive.requests if request.path == "/")
    assert 1 < second - first < 4


def test_a_crawl_delay_beyond_max_wait_leaves_the_archive(archive: Archive, discover: Discover) -> None:
    archive.robots = Answer(b"User-agent: *\nCrawl-delay: 3600\n")
    items, error = discover(archive)
    assert items == [] and error is not None and "3600 s between two requests" in str(error)
    assert set(archive.count()) == {"/robots.txt"}


def test_a_pause_beyond_max_wait_ends_the_crawl_of_a_host(archive: Archive, discover: Discover) -> None:
    archive.answers["/1"] = [Answer(status=429, headers={"Retry-After": "86400"})]
    items, error = discover(archive, limits={"per_host": {"concurrency": 1}})
    assert not items
    assert error is not None
    assert {why.partition(":")[0] for _, why in error.listings} == {"http_429"}
    assert len(error.listings) == 3
    assert not archive.count("/2")


def test_failed_listings_are_read_by_the_next_crawl(archive: Archive, discover: Discover) -> None:
    archive.answers["/2"] = [Answer(status=503)] * 3  # the first try and both retries
    items, error = discover(archive)
    assert {item.uri.rpartition("/")[2] for item in items} == {"1.pdf", "3.pdf"}
    assert error is not None
    assert [(url.rpartition("/")[2], why.partition(":")[0]) for url, why in error.listings] == [
        ("2", "http_5xx")
    ]
    archive.requests.clear()
    items, error = discover(archive)
    assert len(items) == 3
    assert error is None
    assert archive.count() == {"/robots.txt": 1, "/2": 1}


def test_listings_are_cached_by_their_headers(archive: Archive, discover: Discover) -> None:
    served: list[tuple[dict[str, str], list[int]]] = [
        ({"Cache-Control": "max-age=600"}, []),
        ({"ETag": '"1"'}, [304]),
        ({"Last-Modified": "Thu, 01 Jan 1970 00:00:00 GMT"}, [200]),  # no heuristic freshness
        ({"Cache-Control": "no-store", "ETag": '"1"'}, [200]),
        ({}, [200]),
    ]
    archive.pages = len(served)
    for page, (headers, _) in enumerate(served, 1):
        archive.answers[f"/{page}"] = [Answer(b"<a class=d href='%d.pdf'>x</a>" % page, headers=headers)] * 2
    first, _ = discover(archive)
    archive.requests.clear()
    second, _ = discover(archive)
    assert {item.uri for item in first} == {item.uri for item in second}
    assert len(first) == len(served)
    for page, (headers, statuses) in enumerate(served, 1):
        seen = [one for one in archive.requests if one.path == f"/{page}"]
        assert [one.status for one in seen] == statuses
        conditions = {name for one in seen for name in one.headers if name.startswith("if-")}
        assert bool(conditions) == (statuses == [304] or "Last-Modified" in headers)


def test_an_error_is_not_replaced_by_a_cached_page(archive: Archive, discover: Discover) -> None:
    archive.pages = 1
    archive.answers["/1"] = [Answer(b"<a class=d href='1.pdf'>x</a>", headers={"ETag": '"1"'})] + [
        Answer(status=500)
    ] * 3
    assert len(discover(archive)[0]) == 1
    items, error = discover(archive)
    assert not items
    assert error is not None


def test_private_addresses_are_blocked(archive: Archive, workspace: Workspace, source: Source) -> None:
    adapter = ScrapeAdapter(Context(workspace, FetchOptions(retries=0)))
    port = archive.server.server_port
    starts = [
        f"http://{host}:{port}/" for host in ("127.0.0.1", "localhost", "2130706433", "[::1]", "0x7f.1")
    ]
    items: list[Item] = []
    with pytest.raises(CrawlIncomplete, match="private_address"):
        for batch in adapter.discover(source("rules", starts, documents="a")):
            items += batch
    assert {item.uri: item.reason for item in items} == dict.fromkeys(starts, Reason.PRIVATE_ADDRESS)
    assert not archive.requests


def test_a_redirect_to_a_private_address_is_not_followed(archive: Archive, discover: Discover) -> None:
    archive.answers["/3"] = [Answer(status=302, headers={"Location": "http://169.254.169.254/latest/"})]
    items, error = discover(archive)
    assert error is None
    assert {item.uri.partition("//")[2].partition("/")[2]: item.reason for item in items} == {
        "1.pdf": None,
        "2.pdf": None,
        "latest/": Reason.PRIVATE_ADDRESS,
    }


def test_certificates_are_verified_and_an_exception_is_recorded(
    served: Served, discover: Discover, self_signed: Path
) -> None:
    archive = Archive(pages=1)
    archive.encrypt(self_signed)
    served(archive)
    items, error = discover(archive)
    assert error is not None
    assert {item.reason for item in items} == {Reason.TLS}
    items, error = discover(archive, verify_certificates=False)
    assert error is None
    assert [item.meta["certificates_verified"] for item in items] == [False]
