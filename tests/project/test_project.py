"""Everything that a command does is a method of Project, with a typed result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import derlem
from derlem.adapters.files.adapter import FilesAdapter
from derlem.results import AuditReport


def test_a_mapping_to_an_audited_corpus(project: derlem.Project, images: Path) -> None:
    result = project.run()
    assert result.ok and not result.errors
    count = len([path for path in images.rglob("*") if path.suffix in (".png", ".jpg")])
    [listing] = result.discover.sources
    assert (listing.source, listing.changes.listed, listing.known, listing.changes.new) == (
        "clipart",
        count,
        0,
        count,
    )
    assert result.ingest is not None and result.ingest.pending == {"clipart": count}
    assert sum(result.ingest.statuses.values()) == count
    assert result.sample is not None and result.sample.selected == result.sample.plan.total == 9
    assert result.build is not None and (result.build.samples, result.build.shards) == (9, 1)
    assert isinstance(result.audit, AuditReport) and not result.audit.failed
    assert project.workspace.root == images.parent / "work"
    again = project.run()
    assert again.sample is not None and again.build is not None and again.ingest is not None
    assert not again.sample.changed and again.build.rewritten == 0 and again.ingest.statuses == {}
    status = project.status()
    assert status.run is not None and (status.run.state, status.run.command) == ("done", "Project.run()")
    assert [(source.source, source.discovered) for source in status.sources] == [("clipart", count)]


def test_each_stage_by_its_own_method(project: derlem.Project) -> None:
    [listing] = project.discover().sources
    assert project.ingest(dry_run=True).pending == {"clipart": listing.changes.new}
    project.ingest("clipart")
    assert project.retry().items == 0
    plan = project.plan()
    drawn = project.sample()
    assert drawn.plan == plan and drawn.fingerprint is not None
    planned = project.build(dry_run=True)
    built = project.build()
    assert (planned.samples, planned.shards, planned.folder) == (built.samples, built.shards, built.folder)
    assert not project.audit().failed
    assert {node.stayed for node in project.diff("small", "small").nodes if not node.category} == {9}
    [first, *_] = project.items(where="item_id IN (SELECT item_id FROM manifest)", limit=1)
    would = project.withdraw(key=first.item_id, dry_run=True)
    done = project.withdraw(key=first.item_id, purge=True)
    assert would.withdrawn == done.withdrawn == {"clipart": 1} and done.purged == {"clipart": 1}
    assert [(change.name, change.gone) for change in done.corpora] == [("small", 1)]
    with pytest.raises(derlem.NoImage):
        next(project.items(status="withdrawn")).image()
    before = project.rows("FROM items ORDER BY ALL")
    assert project.catalog.compact().after is not None
    assert project.catalog.rebuild().items == len(before[1])
    assert project.rows("FROM items ORDER BY ALL") == before
    migrated = project.catalog.migrate()
    assert migrated.before == migrated.after


def test_items_are_typed_rows_with_images(project: derlem.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    project.discover()
    project.ingest()
    everything = list(project.items())
    columns, rows = project.rows("SELECT item_id FROM items ORDER BY source, ordinal")
    assert columns == ["item_id"] and [item.item_id for item in everything] == [row[0] for row in rows]
    monkeypatch.setattr("derlem.catalog.items.PAGE", 3)
    assert list(project.items()) == everything
    assert list(project.items(limit=4)) == everything[:4]
    ready = list(project.items(source="clipart", status=derlem.Status.READY))
    assert ready and all(item.status is derlem.Status.READY for item in ready)
    for item in ready:
        image = item.image()
        assert isinstance(image, Image.Image) and image.size == (item.width, item.height)
    below = list(project.items(category="food"))
    assert below == [item for item in everything if item.category.split("/")[0] == "food"]
    assert list(project.items(where="caption LIKE '%''%' OR width > 10", limit=1))
    with pytest.raises(derlem.QueryError):
        next(project.items(where="no_such_column = 1"))
    origin = ready[0].provenance()
    assert (origin.adapter, origin.license, origin.uri) == ("files", "CC-PDDC", ready[0].uri)
    assert origin.declaration["name"] == "clipart" and origin.version == derlem.__version__


def test_iterating_over_items_blocks_no_stage(project: derlem.Project) -> None:
    project.discover()
    for item in project.items(limit=1):
        project.ingest()
        assert next(project.items(where=f"item_id = '{item.item_id}'")).status is not item.status


REFUSED = {
    "": "one SQL statement",
    "-- nothing": "one SQL statement",
    "SELECT 1; SELECT 2": "one SQL statement",
    "COPY items TO '{file}'": "disabled",
    "COPY (SELECT 1) TO '{catalog}'": "disabled|belongs to an attached database",
    "FROM read_csv('{config}')": "disabled",
    "FROM '{config}'": "disabled|does not exist",
    "ATTACH '{file}' AS other": "disabled",
    "EXPORT DATABASE '{file}'": "disabled",
    "INSTALL httpfs": "disabled",
    "SET enable_external_access = true": "locked|Cannot",
    "DELETE FROM items": "read-only",
    "FROM project": "does not exist",
}


@pytest.mark.parametrize("statement", REFUSED)
def test_a_query_reads_the_catalog_and_nothing_else(
    project: derlem.Project, images: Path, statement: str, tree_digest: Any
) -> None:
    project.discover()
    before = tree_digest(images.parent)
    text = statement.format(
        file=images.parent / "out", catalog=project.workspace.catalog, config=next(images.rglob("*.txt"))
    )
    for ask in (project.sql, project.rows):
        with pytest.raises(derlem.QueryError, match=REFUSED[statement]):
            ask(text)
    assert tree_digest(images.parent) == before
    assert project.sql("SELECT 41 + 1 AS n").to_pylist() == [{"n": 42}]


@pytest.mark.parametrize(
    "predicate",
    [
        "1 = 1); COPY items TO '{file}'; SELECT (1",
        "item_id IN (SELECT item_id FROM read_csv('{file}'))",
        "1",
        "count(*) > 1",
        "no_such_column",
    ],
)
def test_a_predicate_reads_the_catalog_and_nothing_else(
    project: derlem.Project, images: Path, predicate: str, tree_digest: Any
) -> None:
    project.discover()
    before = tree_digest(images.parent)
    where = predicate.format(file=images.parent / "out.csv")
    if predicate == "1":
        assert project.withdraw(where=where, dry_run=True).withdrawn  # DuckDB casts to true
        return
    with pytest.raises(derlem.QueryError):
        project.withdraw(where=where, dry_run=True)
    with pytest.raises(derlem.QueryError):
        list(project.items(where=where))
    assert tree_digest(images.parent) == before


def test_configurations_as_mappings_and_files(
    declaration: dict[str, Any], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(derlem.ConfigError, match=r"sources\.clipart\.pth: unknown key; did you mean 'path'"):
        derlem.Project({"sources": [{**declaration["sources"][0], "pth": "x"}]})
    with pytest.raises(derlem.ConfigError, match="no source is named 'clipar'; did you mean 'clipart'"):
        derlem.Project(declaration, base=images.parent).discover("clipar")
    trial = derlem.Project({**declaration, "test_mode": {"items": 2}}, base=images.parent, test_mode=True)
    assert trial.workspace.root.name == "work-test"
    assert trial.run().ok and len(list(trial.items())) == 2
    monkeypatch.chdir(tmp_path)
    derlem.init("new/derlem.yaml")
    opened = derlem.open("new/derlem.yaml", overrides=["workspace=elsewhere"])
    assert opened.workspace.root == tmp_path / "elsewhere"
    with pytest.raises(derlem.ConfigError, match="exists already"):
        derlem.init("new/derlem.yaml")
    with pytest.raises(derlem.ConfigError, match=r"derlem\.yaml"):
        derlem.open()


def test_progress_goes_to_the_callers_object(declaration: dict[str, Any], images: Path) -> None:
    calls: list[tuple[str, str]] = []
    last: dict[str, tuple[int, int | None]] = {}
    details: dict[str, Any] = {}
    (images / "food" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")

    class Recorder:
        def begin(self, stage: str, total: int | None) -> None:
            calls.append(("begin", stage))

        def advance(self, stage: str, done: int, total: int | None, counts: Any) -> None:
            last[stage] = (done, total)

        def detail(self, stage: str, sources: Any, rejections: Any) -> None:
            details[stage] = (
                {name: (steps.done, steps.total) for name, steps in sources.items()},
                rejections,
            )

        def end(self, stage: str) -> None:
            calls.append(("end", stage))

    project = derlem.Project(declaration, base=images.parent, progress=Recorder())
    result = project.run()
    stages = ["discover clipart", "ingest", "build small"]
    assert calls == [(what, stage) for stage in stages for what in ("begin", "end")]
    [listing] = result.discover.sources
    assert last["ingest"] == (listing.changes.new, listing.changes.new) and last["build small"][0] == 9
    read = (listing.changes.new, listing.changes.new)
    assert details == {"ingest": ({"clipart": read}, ["clipart: food/broken.png: truncated"])}
    run = project.last_run()
    assert run is not None and run.rejections == ["clipart: food/broken.png: truncated"]


def test_a_listing_that_fails_is_an_error_of_the_result(
    declaration: dict[str, Any], images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [source] = declaration["sources"]
    declaration["sources"] = [{**source, "name": "failing"}, source]
    del declaration["sample"]
    discover = FilesAdapter.discover

    def failing(self: FilesAdapter, options: Any) -> Iterator[list[derlem.Item]]:
        for batch in discover(self, options):
            yield batch[:2]
            if options.name == "failing":
                raise derlem.DerlemError("the share is gone")

    monkeypatch.setattr(FilesAdapter, "discover", failing)
    result = derlem.Project(declaration, base=images.parent).run()
    assert {listed.source: listed.changes.new for listed in result.discover.sources} == {
        "failing": 2,
        "clipart": 2,
    }
    assert [str(error) for error in result.errors] == ["the share is gone"] and not result.ok
    assert result.ingest is not None and sum(result.ingest.statuses.values()) == 4
