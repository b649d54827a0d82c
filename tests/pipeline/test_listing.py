"""Only a complete listing is recorded; the listing after an interrupted one amends the missing items."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from derlem.adapters.base import Context
from derlem.adapters.files.adapter import FilesOptions
from derlem.catalog.connection import read_catalog
from derlem.catalog.models import Item
from derlem.catalog.sources import Declared
from derlem.core.errors import DerlemError
from derlem.core.workspace import Workspace
from derlem.media.media_options import MediaOptions
from derlem.pipeline.discover import Listing
from derlem.pipeline.ingest_options import IngestOptions
from derlem.pipeline.run import start_run
from derlem.pipeline.stages import Declarations, run_discover

SOURCES = ("a", "b")


class Killed(BaseException):
    """Simulates the end of the process."""


def batches(source: str, end: type[BaseException] | None) -> Iterator[list[Item]]:
    """Two batches of two items, or the first and an error."""
    yield [Item(source, "1"), Item(source, "2")]
    if end is not None:
        raise end("the listing ends early")
    yield [Item(source, "3"), Item(source, "4")]


def discover(workspace: Workspace, license: str, *names: str, end: type[BaseException] | None = None) -> None:
    """List the named sources; both are declared with the license."""
    listings = [
        Listing(
            FilesOptions(name=name, adapter="files", license=license, path="images"),
            batches(name, end),
            False,
        )
        for name in names
    ]
    declared = [Declared(name, "files", license, None, {"license": license}) for name in SOURCES]
    with start_run(workspace, "test", "hash", IngestOptions()) as scope:
        declarations = Declarations(Context(workspace), MediaOptions(), IngestOptions())
        run_discover(scope, listings, declared, declarations)


def licenses(workspace: Workspace) -> dict[str, list[str]]:
    """The licenses of each source's items, in the order of discovery."""
    with read_catalog(workspace) as connection:
        rows = connection.execute("SELECT source, license FROM items ORDER BY source, ordinal").fetchall()
    return {name: [license for source, license in rows if source == name] for name in SOURCES}


def test_a_source_that_was_not_listed_is_amended_later(workspace: Workspace) -> None:
    discover(workspace, "MIT", "a", "b")
    discover(workspace, "CC0-1.0", "a")
    assert licenses(workspace) == {"a": ["CC0-1.0"] * 4, "b": ["MIT"] * 4}
    discover(workspace, "CC0-1.0", "a", "b")
    assert licenses(workspace) == {"a": ["CC0-1.0"] * 4, "b": ["CC0-1.0"] * 4}


@pytest.mark.parametrize("end", [DerlemError, KeyboardInterrupt, Killed])
def test_a_listing_that_ended_early_is_amended_by_the_next(
    workspace: Workspace, end: type[BaseException]
) -> None:
    discover(workspace, "MIT", "a")
    with suppress(end):
        discover(workspace, "CC0-1.0", "a", end=end)
    discover(workspace, "CC0-1.0", "a")
    assert licenses(workspace)["a"] == ["CC0-1.0"] * 4


def test_a_complete_listing_is_compared_only_once(workspace: Workspace) -> None:
    for _ in range(3):
        discover(workspace, "MIT", "a")
    discover(workspace, "CC0-1.0", "a")
    discover(workspace, "CC0-1.0", "a")
    with read_catalog(workspace) as connection:
        kinds = connection.execute(
            "SELECT kind, count(*) FROM segments GROUP BY kind ORDER BY kind"
        ).fetchall()
    assert kinds == [("amend", 1), ("discover", 1)]
