"""The report: one page that loads nothing, shows hostile texts as text, and agrees with the catalog."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import derlem
from derlem.cli import main
from derlem.core.errors import MissingExtra, UnknownManifest
from derlem.report.bins import histogram
from derlem.report.facts import Row
from derlem.report.tree import tree

HOSTILE = (
    "</script><script>alert(1)</script><img src=x onerror=alert(2)> \"' &amp; \u202egnp.exe \x1b[31mred\x07"
)
NAME = '<b onclick="alert(3)">&lt;'


class Parsed(HTMLParser):
    """Tags with attributes, and the text of a page outside of scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self._inside: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in ("script", "style"):
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._inside and tag == self._inside[-1]:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.text.append(data)
        elif self._inside[-1] == "script":
            self.scripts.append(data)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, demo: Path) -> derlem.Project:
    """A built corpus with hostile captions, one of a megabyte, and a hostile category; a second manifest."""
    folder = tmp_path_factory.mktemp("report")
    images = Path(shutil.copytree(demo / "clipart" / "food", folder / "images" / NAME))
    captions = sorted(images.rglob("*.txt"))
    for caption in captions[:4]:
        caption.write_text(HOSTILE, "utf-8")
    captions[4].write_text("ş" * 1_000_000, "utf-8")
    source = {
        "name": "clipart",
        "adapter": "files",
        "path": "images",
        "category": "{dir}",
        "caption": {"sidecar": ".txt"},
        "license": "CC-PDDC",
        "homepage": "https://openclipart.org/",
    }
    sample = {"name": "small", "seed": 5, "target": 9}
    opened = derlem.Project({"sources": [source], "sample": sample}, base=folder)
    assert opened.run().ok
    derlem.Project(
        {"sources": [source], "sample": {**sample, "name": "other", "target": 6, "min_per_source": 0}},
        base=folder,
    ).sample()
    return opened


@pytest.fixture(scope="module")
def page(project: derlem.Project) -> Parsed:
    return Parsed(project.report("small", compare="other").html)


def test_the_page_loads_nothing(page: Parsed, project: derlem.Project) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed", "base", "form"), tag
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "data", "poster", "srcset"):
            assert (attributes.get(name) or "data:").startswith("data:")
        if tag == "link":
            assert attributes["href"] == "data:,"
    [policy] = [found["content"] for tag, found in page.tags if found.get("http-equiv")]
    program, *_ = [script for script in page.scripts if "use strict" in script]
    digest = base64.b64encode(hashlib.sha256(program.encode()).digest()).decode()
    assert policy is not None and "default-src 'none'" in policy and f"'sha256-{digest}'" in policy
    assert "@import" not in project.report().html and "url(" not in project.report().html


def test_hostile_texts_are_text(page: Parsed) -> None:
    kinds = Counter(found.get("type") for tag, found in page.tags if tag == "script")
    assert kinds == {None: 1, "application/json": 1}
    assert not any(found.get("onclick") or found.get("onerror") for _, found in page.tags)
    text = "".join(page.text)
    assert "</script><script>alert(1)</script><img src=x onerror=alert(2)>" in text
    assert NAME in text and "\\u202egnp.exe \\x1b[31mred\\x07" in text
    assert not set("\x1b\x07\u202e") & set(text)
    assert "ş" * 300 in text and "ş" * 301 not in text


def test_the_page_is_usable_without_sight_and_script(page: Parsed) -> None:
    tags = page.tags
    assert ("html", {"lang": "en"}) in tags
    assert [tag for tag, _ in tags].count("h1") == 1 and [tag for tag, _ in tags].count("main") == 1
    assert all(found.get("alt") for tag, found in tags if tag == "img")
    assert all(found.get("scope") for tag, found in tags if tag == "th")
    ids = [found["id"] for _, found in tags if "id" in found]
    assert len(ids) == len(set(ids))
    targets = [found.get("href") or "" for tag, found in tags if tag == "a"]
    links = {target[1:] for target in targets if target.startswith("#")}
    assert links <= set(ids) and {"composition", "quotas", "sheets", "compared", "audits"} <= links


def test_the_numbers_are_those_of_the_catalog(page: Parsed, project: derlem.Project) -> None:
    nodes = json.loads(next(script for script in page.scripts if script.startswith("[")))
    found = project.sql(
        "SELECT count(*) AS samples, sum(i.bytes) AS bytes FROM manifest_items AS m JOIN items AS i "
        "ON i.item_id = m.item_id WHERE m.corpus = 'small'"
    ).to_pylist()
    assert nodes[0][2:4] == [found[0]["samples"], found[0]["bytes"]] and found[0]["samples"] == 9
    thumbnails = [found["src"] or "" for tag, found in page.tags if tag == "img"]
    assert len(thumbnails) == 9
    for url in thumbnails:
        assert base64.b64decode(url.partition(",")[2]).startswith(b"\xff\xd8")


def test_the_same_catalog_gives_the_same_page(project: derlem.Project) -> None:
    first, second = (re.sub(r"Written [\d: -]*UTC", "", project.report("small").html) for _ in range(2))
    assert first == second


def test_audits_are_those_of_the_last_run(project: derlem.Project) -> None:
    assert "audits ran at" in project.report("small").html
    kept = (project.workspace.state / "audit.json").read_text("utf-8")
    project.audit(dry_run=True)
    assert (project.workspace.state / "audit.json").read_text("utf-8") == kept
    assert (
        "has changed since" in project.report("small").html
    )  # the manifest `other` was drawn after the audit
    project.audit()
    assert "has changed since" not in project.report("small").html
    (project.workspace.state / "audit.json").write_text("{")
    assert "No audit has run" in project.report("small").html


def test_a_notebook_shows_the_page_in_a_frame(project: derlem.Project, tmp_path: Path) -> None:
    report = project.report()
    [(tag, found)] = Parsed(report._repr_html_()).tags
    assert tag == "iframe" and found["sandbox"] == "allow-scripts" and found["srcdoc"] == report.html
    assert report.write(tmp_path / "page.html").read_text("utf-8") == report.html
    assert len(repr(report)) < 100


def test_a_catalog_without_manifests_and_images(tmp_path: Path, demo: Path) -> None:
    source = {"name": "s", "adapter": "files", "path": str(demo / "clipart" / "food"), "license": "CC0-1.0"}
    mine = derlem.Project({"sources": [source]}, base=tmp_path)
    mine.discover()
    empty = Parsed(mine.report().html)
    assert "There are no samples." in "".join(empty.text)
    mine.ingest()
    for tar in mine.workspace.store.rglob("*.tar"):
        tar.unlink()
    gone = Parsed(mine.report().html)
    assert "no image in the store" in "".join(gone.text)
    assert not any(tag == "img" for tag, _ in gone.tags)
    with pytest.raises(UnknownManifest):
        mine.report("missing")
    with pytest.raises(UnknownManifest):
        mine.report(compare="missing")
    with pytest.raises(UnknownManifest):
        mine.training_summary()


def test_without_jinja_the_message_is_the_command_that_installs_it(
    project: derlem.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtra, match=r"derlem\[report\]"):
        project.report()


def test_the_command_writes_files(project: derlem.Project, tmp_path: Path) -> None:
    config = tmp_path / "derlem.yaml"
    source = {"name": "clipart", "adapter": "files", "path": ".", "license": "CC0-1.0"}
    config.write_text(json.dumps({"workspace": str(project.workspace.root), "sources": [source]}))

    def run(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["-c", str(config), *arguments])
        assert result.exit_code == code, result.output
        return result.stderr

    output = tmp_path / "new" / "page.html"
    assert "would write" in run("--dry-run", "report", "small", "--output", str(output))
    assert not output.parent.exists()
    run("report", "small", "--compare", "other", "--output", str(output))
    assert html.escape(HOSTILE[:9]) in output.read_text("utf-8")
    run("report", "--training-summary", "--output", str(tmp_path / "summary"))
    assert json.loads((tmp_path / "summary.json").read_text("utf-8"))["corpus"] == "other"
    assert (tmp_path / "summary.md").read_text("utf-8").startswith("# Public summary")
    run("report", "--training-summary", "--compare", "other", code=2)


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from("abc"), max_size=3).map("/".join),
            st.sampled_from("st"),
            st.integers(0, 9),
            st.integers(0, 99),
        ),
        unique_by=lambda row: row[:2],
    )
)
def test_every_node_of_the_tree_is_the_sum_of_its_children(strata: list[tuple[str, str, int, int]]) -> None:
    rows: list[Row] = [
        {"category": category, "source": source, "samples": samples, "bytes": size}
        for category, source, samples, size in strata
    ]
    nodes = tree(rows)
    for index, (_, parent, samples, size, is_source) in enumerate(nodes):
        assert int(parent) < index
        children = [node for node in nodes if node[1] == index]
        if not is_source:
            assert [samples, size] == [sum(int(node[place]) for node in children) for place in (2, 3)]
    assert nodes[0][2] == sum(row[2] for row in strata)


Bins = Callable[..., list[tuple[str, int]]]


def bins(name: str, **counts: int) -> list[tuple[str, int]]:
    rows: list[Row] = [{"bin": label.lstrip("_"), "samples": samples} for label, samples in counts.items()]
    return [(found.label, found.samples) for found in histogram(name, rows)]


def test_histograms_keep_empty_bins_and_unknown_values() -> None:
    assert bins("side", _64=3, _256=1) == [("64 to 128", 3), ("128 to 256", 0), ("256 to 512", 1)]
    assert bins("size", _1024=2, _=1) == [("1 KiB to 2 KiB", 2), ("unknown", 1)]
    assert bins("caption_length", _0=4, _1=1) == [("none", 4), ("1 to 2", 1)]
    assert bins("language", tr=5, en=7) == [("en", 7), ("tr", 5)] and bins("aspect") == []
    many = {f"l{n:02}": 40 - n for n in range(20)}
    assert bins("language", **many)[-1] == ("5 others", sum(sorted(many.values())[:5]))
    rows: list[Row] = [{"bin": "2.0", "samples": 1}, {"bin": "0.0", "samples": 4}]
    assert [(found.label, found.length) for found in histogram("aspect", rows)] == [
        ("1:1", 100.0), ("1.4:1", 0.0), ("2:1", 25.0),
    ]  # fmt: skip
