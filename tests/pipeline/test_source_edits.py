"""Every ready item matches a record of its source after random edits of sources and options between runs."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from PIL import Image

from derlem.catalog.maintenance import TABLES
from derlem.pipeline import stages
from derlem.pipeline.discover import Changes
from derlem.pipeline.segment_writer import WrittenSegment
from derlem.pipeline.tasks import Job, Task
from derlem.pipeline.worker import ingest_task
from derlem.project import Project
from tests.factories.images import pixel

SOAK = bool(os.environ.get("DERLEM_SOAK"))
SIDES = (8, 24)
LIMIT = 16


@dataclass(frozen=True)
class Record:
    """A record of a source: its name, the color and side of its image, its caption."""

    name: str
    color: int
    side: int
    caption: str

    @property
    def image(self) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", (self.side, self.side), (self.color % 256, self.color // 256, 7)).save(out, "PNG")
        return out.getvalue()


class InlineExecutor:
    """Runs tasks in this process, which is faster for many short runs without faults."""

    worker_memory_peak = workers_lost = 0
    ending = False

    def __init__(self, job: Job, report: object = None) -> None:
        self._job = job

    def __enter__(self) -> InlineExecutor:
        return self

    def __exit__(self, *_: object) -> None: ...

    def start(self, items: int) -> None: ...

    def begin(self, item_id: str) -> None: ...

    def waiting(self) -> None: ...

    def run(self, tasks: Iterable[Task]) -> Iterator[WrittenSegment]:
        for task in tasks:
            written: list[WrittenSegment] = []

            def emit(segment: WrittenSegment, _: list[str], to: list[WrittenSegment] = written) -> None:
                to.append(segment)

            ingest_task(task, self._job, self, emit, print)
            yield from written

    def drain(self) -> Iterator[WrittenSegment]:
        yield from ()


def write_files(folder: Path, records: list[Record]) -> None:
    for path in folder.iterdir():
        path.unlink()
    for record in records:
        (folder / f"{record.name}.png").write_bytes(record.image)
        (folder / f"{record.name}.txt").write_text(record.caption)


def write_zip(folder: Path, records: list[Record]) -> None:
    with zipfile.ZipFile(folder / "a.zip", "w") as packed:
        for record in records:
            packed.writestr(f"{record.name}.png", record.image)
            packed.writestr(f"{record.name}.txt", record.caption)


def write_tar(folder: Path, records: list[Record], name: str = "a.tar") -> None:
    with tarfile.open(folder / name, "w:gz" if name.endswith("gz") else "w") as packed:
        for record in records:
            for suffix, data in (("png", record.image), ("txt", record.caption.encode())):
                member = tarfile.TarInfo(f"{record.name}.{suffix}")
                member.size = len(data)
                packed.addfile(member, io.BytesIO(data))


def write_packed_tar(folder: Path, records: list[Record]) -> None:
    write_tar(folder, records, "a.tar.gz")


def write_parquet(folder: Path, records: list[Record]) -> None:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = {
        "image": pa.array([{"bytes": record.image, "path": None} for record in records], image),
        "text": pa.array([record.caption for record in records], pa.string()),
        "key": pa.array([record.name for record in records], pa.string()),
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=3)


def local(adapter: str, path: str, **options: Any) -> Callable[[Path, bool], dict[str, Any]]:
    """A declaration of files or archives, with or without captions."""

    def declare(folder: Path, captions: bool) -> dict[str, Any]:
        caption = {"caption": {"sidecar": ".txt" if captions else ".none"}}
        return {"adapter": adapter, "path": str(folder / path), **options, **caption}

    return declare


def rows(**columns: str) -> Callable[[Path, bool], dict[str, Any]]:
    """A declaration of Parquet rows."""

    def declare(folder: Path, captions: bool) -> dict[str, Any]:
        named = {"image": "image", **columns} | ({"caption": "text"} if captions else {})
        return {"adapter": "huggingface", "dataset": str(folder), "columns": named}

    return declare


KINDS: dict[str, tuple[Callable[[Path, list[Record]], None], Callable[[Path, bool], dict[str, Any]]]] = {
    "files": (write_files, local("files", "")),
    "zip": (write_zip, local("archive", "a.zip")),
    "tar": (write_tar, local("archive", "a.tar", webdataset=False)),
    "packed tar": (write_packed_tar, local("archive", "a.tar.gz", webdataset=False)),
    "parquet": (write_parquet, rows()),
    "parquet with keys": (write_parquet, rows(key="key")),
}

names = st.text("abcdef", min_size=1, max_size=2)
colors = st.integers(0, 65535)
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
        assert changes.repeated == 0 and not changes.unlisted and listed.error is None
        if found != before:
            assert sum(counts(changes)) > 0
        assert not project.audit().failed
        again = project.discover(dry_run=True).sources[0].changes
        assert not any(counts(again)), again
        self._check_rebuild(project)

    def _project(self) -> Project:
        _, declare = KINDS[self.kind]
        source = {"name": "s", "license": "CC0-1.0", **declare(self.data, self.captions)}
        return Project(
            {
                "workspace": str(self.root / "work"),
                "sources": [source],
                "image": {"format": "png", "max_side": self.max_side},
                "ingest": {"workers": 1},
            }
        )

    def _expected(self) -> Counter[tuple[str | None, int]]:
        limit = self.max_side or max(SIDES)
        return Counter(
            ((record.caption or None) if self.captions else None, record.color)
            for record in self.records
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


def counts(changes: Changes) -> tuple[int, ...]:
    return changes.new, changes.changed, changes.outdated, changes.amended, changes.gone, changes.withdrawn


@pytest.mark.parametrize("kind", KINDS)
def test_every_run_follows_the_present_source(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "open_executor", InlineExecutor)
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
