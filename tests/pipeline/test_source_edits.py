"""Every ready item matches a record of its source after random edits of sources and options between runs."""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from derlem.adapters.http import fetcher
from derlem.catalog.maintenance import TABLES
from derlem.pipeline import stages
from derlem.pipeline.discover import Changes
from derlem.project import Project
from tests.factories.edited_sources import KINDS, OfflineFetcher, Record
from tests.factories.executors import InlineExecutor
from tests.factories.images import pixel

SOAK = bool(os.environ.get("DERLEM_SOAK"))
SIDES = (8, 24)
LIMIT = 16


names = st.text("abcdef", min_size=1, max_size=2)
colors = st.one_of(st.integers(0, 65535), st.integers(0, 3))
captions = st.sampled_from(["one", "two", "three", ""])


class Edits(RuleBasedStateMachine):
    """A source of one kind with random edits; the result of each run is compared with its records."""

    kind = ""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.data = self.root / "data"
        self.data.mkdir()
        self.records: list[Record] = []
        self.captions = True
        self.max_side: int | None = None
        self.written = 0

    def teardown(self) -> None:
        self.folder.cleanup()

    @initialize(first=st.lists(st.tuples(names, colors, captions), min_size=3, max_size=7))
    def write_first(self, first: list[tuple[str, int, str]]) -> None:
        for name, color, caption in first:
            self._put(0, Record(name, color, SIDES[color % 2], caption))
        self._write()

    @rule(name=names, color=colors, caption=captions, at=st.integers(0, 9))
    def insert(self, name: str, color: int, caption: str, at: int) -> None:
        self._put(at, Record(name, color, SIDES[color % 2], caption))
        self._write()

    @rule(order=st.randoms(use_true_random=False))
    def reorder(self, order: Any) -> None:
        order.shuffle(self.records)
        self._write()

    @rule(at=st.integers(0, 9))
    def remove(self, at: int) -> None:
        if len(self.records) > 1:
            del self.records[at % len(self.records)]
            self._write()

    @rule(at=st.integers(0, 9), caption=captions)
    def edit_caption(self, at: int, caption: str) -> None:
        self._change(at, caption=caption)

    @rule(at=st.integers(0, 9), color=colors)
    def replace_image(self, at: int, color: int) -> None:
        self._change(at, color=color, side=SIDES[color % 2])

    @rule(at=st.integers(0, 9))
    def swap_captions(self, at: int) -> None:
        first, second = at % len(self.records), (at + 1) % len(self.records)
        captions = self.records[first].caption, self.records[second].caption
        self._change(second, caption=captions[0])
        self._change(first, caption=captions[1])

    @rule()
    def declare_captions(self) -> None:
        self.captions = not self.captions

    @rule()
    def declare_limit(self) -> None:
        self.max_side = None if self.max_side else LIMIT

    @rule()
    def run(self) -> None:
        project = self._project()
        before = self._ready(project)
        expected = self._expected()
        planned = project.discover(dry_run=True).sources[0].changes
        [listed] = project.discover().sources
        assert counts(listed.changes) == counts(planned)
        project.ingest()
        found = self._ready(project)
        assert Counter(found.values()) == expected
        changes = listed.changes
        assert self.is_list_of_urls or changes.repeated == 0
        assert not changes.unlisted and listed.error is None
        if found != before:
            assert sum(counts(changes)) > 0
        assert not project.audit().failed
        again = project.discover(dry_run=True).sources[0].changes
        assert not any(counts(again)), again
        self._check_rebuild(project)

    @property
    def is_list_of_urls(self) -> bool:
        return self.kind.endswith("URLs")

    def _project(self) -> Project:
        _, declare = KINDS[self.kind]
        return a_project(self.root, declare(self.data, self.captions), max_side=self.max_side)

    def _expected(self) -> Counter[tuple[str | None, int]]:
        limit = self.max_side or max(SIDES)
        records = self.records
        if self.is_list_of_urls:  # rows of one URL and one caption are one record
            records = list({(record.url, record.caption): record for record in records}.values())
        return Counter(
            ((record.caption or None) if self.captions else None, record.color)
            for record in records
            if record.side <= limit
        )

    def _ready(self, project: Project) -> dict[str, tuple[str | None, int]]:
        """Caption and color of every ready item, the color from the stored image."""
        if not project.workspace.catalog.exists():
            return {}
        found = {}
        for item in project.items(status="ready"):
            red, green, _ = pixel(item.image().convert("RGB"), 0, 0)
            found[item.item_id] = item.caption, red + 256 * green
        return found

    def _check_rebuild(self, project: Project) -> None:
        tables = {name: project.sql(f"FROM {name} ORDER BY ALL").to_pylist() for name in TABLES}
        project.catalog.rebuild()
        assert {name: project.sql(f"FROM {name} ORDER BY ALL").to_pylist() for name in TABLES} == tables

    def _put(self, at: int, record: Record) -> None:
        if all(record.name != other.name for other in self.records):
            self.records.insert(at % (len(self.records) + 1), record)

    def _change(self, at: int, **columns: Any) -> None:
        at %= len(self.records)
        self.records[at] = replace(self.records[at], **columns)
        self._write()

    def _write(self) -> None:
        """Write the source again; each write of files has a distinct second as its time stamp."""
        stamps = {path: (path.read_bytes(), path.stat().st_mtime) for path in self.data.iterdir()}
        write, _ = KINDS[self.kind]
        write(self.data, self.records)
        self.written += 1
        for path in self.data.iterdir():
            content, stamp = stamps.get(path, (b"", 0.0))
            when = stamp if path.read_bytes() == content else 1e9 + self.written
            os.utime(path, (when, when))


def a_project(folder: Path, source: dict[str, Any], **image: Any) -> Project:
    """A project with one source, in the folder `work`."""
    return Project(
        {
            "workspace": str(folder / "work"),
            "sources": [{"name": "s", "license": "CC0-1.0", **source}],
            "image": {"format": "png", **image},
            "ingest": {"workers": 1},
        }
    )


def counts(changes: Changes) -> tuple[int, ...]:
    return changes.new, changes.changed, changes.outdated, changes.amended, changes.gone, changes.withdrawn


@pytest.mark.short(7)
@pytest.mark.parametrize("kind", KINDS)
def test_every_run_follows_the_present_source(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "open_executor", InlineExecutor)
    monkeypatch.setattr(fetcher, "Fetcher", OfflineFetcher)
    machine = type("Edited", (Edits,), {"kind": kind})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=200 if SOAK else 2,
            stateful_step_count=40 if SOAK else 8,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate],  # a run is too slow to shrink
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("kind", ["tar", "packed webdataset"])
def test_captions_leave_when_they_are_declared_no_more(
    kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(stages, "open_executor", InlineExecutor)
    write, declare = KINDS[kind]
    write(tmp_path, [Record("a", 2, 8, "two"), Record("b", 3, 8, "")])
    for captions, expected in ((True, {"two", None}), (False, {None}), (True, {"two", None})):
        project = a_project(tmp_path, declare(tmp_path, captions))
        project.discover()
        [listed] = project.discover(dry_run=True).sources
        assert not any(counts(listed.changes))
        project.ingest()
        assert {item.caption for item in project.items(status="ready")} == expected


@pytest.mark.parametrize("limit", [None, 4])
def test_a_sidecar_that_is_read_anew_leaves_no_earlier_text(
    limit: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The sidecar itself is unchanged; with a limit, the item is rejected between the two readings."""
    monkeypatch.setattr(stages, "open_executor", InlineExecutor)
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.png").write_bytes(Record("a", 2, 8, "").image)
    talk = [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]
    (data / "a.json").write_text(json.dumps({"caption": "one", "language": "de", "talk": talk}))
    source = {"adapter": "files", "path": str(data), "caption": {"sidecar": ".json", "conversations": "talk"}}

    def texts(key: str, conversations: str, max_side: int | None = None) -> list[Any]:
        source["caption"] = {"sidecar": ".json", "key": key, "conversations": conversations}
        project = a_project(tmp_path, source, max_side=max_side)
        project.discover()
        project.ingest()
        return [
            (item.caption, item.language, bool(item.conversations)) for item in project.items(status="ready")
        ]

    assert texts("caption", "talk") == [("one", "de", True)]
    if limit:
        assert texts("caption", "talk", limit) == []
    assert texts("title", "turns") == [(None, None, False)]
    assert texts("caption", "turns") == [("one", "de", False)]


def test_edited_lists_of_captions_are_taken_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(stages, "open_executor", InlineExecutor)
    data = tmp_path / "data"
    data.mkdir()
    (data / "a.png").write_bytes(Record("a", 2, 8, "").image)
    columns = {"image": "image", "caption": "texts", "key": "image"}
    source = {
        "adapter": "annotations",
        "path": str(data / "rows.jsonl"),
        "images": str(data),
        "columns": columns,
    }
    for texts in (["one", "two"], ["one", "three"], ["four"], ["five", "six"]):
        (data / "rows.jsonl").write_text(json.dumps({"image": "a.png", "texts": texts}))
        project = a_project(tmp_path, source)
        project.discover()
        project.ingest()
        [item] = project.items(status="ready")
        assert (item.captions or [item.caption or ""]) == texts
