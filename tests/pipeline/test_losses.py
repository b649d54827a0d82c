"""A rebuild stops at lost segments, and a repair reads their items again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import derlem
from derlem.catalog.losses import SegmentsLost, StoreEmpty
from derlem.catalog.segment_files import BadSegment

ITEMS = "SELECT item_id, status, reason, sha256, caption FROM items ORDER BY ALL"


@pytest.fixture
def project(demo: Path, tmp_path: Path) -> derlem.Project:
    """Ingested images in several segments, one of them withdrawn."""
    source = {
        "name": "food",
        "adapter": "files",
        "path": str(demo / "clipart" / "food"),
        "license": "CC0-1.0",
    }
    config = {"sources": [source], "ingest": {"workers": 1, "segment_items": 4}}
    project = derlem.Project(config, base=tmp_path)
    project.discover()
    project.ingest()
    [first, *_] = project.items(status="ready", limit=1)
    project.withdraw(key=first.item_id)
    return project


def segment(project: derlem.Project, kind: str) -> Path:
    """The Parquet file of the first segment of this kind."""
    _, [(name,)] = project.rows(f"SELECT min(segment) FROM segments WHERE kind = '{kind}'")
    return project.workspace.segment_rows(name)


def items(project: derlem.Project) -> list[tuple[Any, ...]]:
    return project.rows(ITEMS)[1]


@pytest.mark.parametrize("kind", ["discover", "ingest", "withdraw"])
def test_a_rebuild_rejects_losses_of_segments_in_the_catalog(project: derlem.Project, kind: str) -> None:
    before = items(project)
    segment(project, kind).unlink()
    with pytest.raises(SegmentsLost, match="derlem catalog repair"):
        project.catalog.rebuild()
    assert items(project) == before


def test_a_rebuild_without_a_catalog_rejects_a_gap(project: derlem.Project) -> None:
    segment(project, "ingest").unlink()
    project.workspace.catalog.unlink()
    with pytest.raises(SegmentsLost):
        project.catalog.rebuild()
    with pytest.raises(SegmentsLost):
        project.catalog.rebuild(dry_run=True)


def test_a_rebuild_rejects_an_empty_store(project: derlem.Project) -> None:
    project.workspace.store.rename(project.workspace.root / "elsewhere")
    content = project.workspace.catalog.read_bytes()
    with pytest.raises(StoreEmpty, match="mounted"):
        project.catalog.rebuild()
    assert project.workspace.catalog.read_bytes() == content


@pytest.mark.short(5)
@pytest.mark.parametrize("kind", ["discover", "ingest", "withdraw"])
@pytest.mark.parametrize("damage", ["rows", "emptied", "missing", "tar"])
def test_a_repair_restores_the_items(project: derlem.Project, kind: str, damage: str) -> None:
    before = items(project)
    rows = segment(project, kind)
    tar = rows.with_suffix(".tar")
    if damage == "rows":
        rows.write_bytes(rows.read_bytes()[:-40])
    elif damage == "emptied":
        pq.write_table(pq.read_table(rows).slice(0, 0), rows)
    elif damage == "missing":
        rows.unlink()
    elif tar.exists():
        tar.write_bytes(tar.read_bytes()[:-512])
    else:
        pytest.skip("the segment holds no images")
    name = f"food/{rows.stem}"
    would = project.catalog.repair(dry_run=True)
    done = project.catalog.repair()
    assert would.segments == done.segments == (name,)
    assert would.images == done.images
    assert bool(done.images) == (kind == "ingest")
    assert project.catalog.repair().segments == ()
    project.ingest()
    assert items(project) == before
    project.catalog.rebuild()
    assert items(project) == before
    assert not [result.audit.name for result in project.audit().results if result.failed]


@pytest.mark.parametrize("damage", ["flipped", "zeroed"])
def test_a_repair_reads_damaged_images_again(project: derlem.Project, damage: str) -> None:
    """The segment has its size, and its other images stay where they are."""
    before = items(project)
    [first, second, *_] = project.rows(
        """SELECT segment, "offset", "length" FROM items
        WHERE status = 'ready' QUALIFY count(*) OVER (PARTITION BY segment) > 1
        ORDER BY segment, "offset" """
    )[1]
    with project.workspace.segment_tar(first[0]).open("r+b") as tar:
        for _, offset, length in (first, second)[: 1 if damage == "flipped" else 2]:
            tar.seek(offset)
            content = tar.read(length)
            tar.seek(offset)
            tar.write(bytes(length) if damage == "zeroed" else bytes([content[0] ^ 1]))
    would = project.catalog.repair(dry_run=True)
    assert items(project) == before
    done = project.catalog.repair()
    assert (would.segments, would.images) == (done.segments, done.images)
    assert (done.segments, done.images) == ((), {"food": 1 if damage == "flipped" else 2})
    assert project.catalog.repair().images == {}
    project.ingest()
    assert items(project) == before
    project.catalog.rebuild()
    assert items(project) == before
    assert not [result.audit.name for result in project.audit().results if result.failed]


def test_a_repair_without_a_catalog_rebuilds_it(project: derlem.Project) -> None:
    before = items(project)
    segment(project, "ingest").unlink()
    project.workspace.catalog.write_bytes(b"damaged")
    done = project.catalog.repair()
    assert done.rebuilt and len(done.segments) == 1
    project.ingest()
    assert items(project) == before


@pytest.mark.parametrize("name", ["000900.parquet", "000001.parquet"])
def test_a_foreign_file_stops_no_run(project: derlem.Project, name: str) -> None:
    other = project.workspace.store / "other"
    other.mkdir()
    (other / name).write_bytes(b"not a segment")
    assert not project.discover().errors
    assert (other / f"{name}.lost").read_bytes() == b"not a segment"
    project.catalog.rebuild()


def test_a_rebuild_names_the_way_out_of_a_damaged_segment(project: derlem.Project) -> None:
    segment(project, "discover").write_bytes(b"damaged")
    project.workspace.catalog.unlink()
    with pytest.raises(BadSegment, match="derlem catalog repair"):
        project.catalog.rebuild()
