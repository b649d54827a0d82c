"""The registry of sources, and their `provenance.json`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from derlem.catalog.connection import read_catalog, write_catalog
from derlem.catalog.item_rows import to_table
from derlem.catalog.models import Item
from derlem.catalog.segment_files import inspect
from derlem.catalog.segments import merge, row_schema
from derlem.catalog.sources import (
    BadProvenance,
    Declared,
    declare_sources,
    provenance,
    read_provenance,
    restore_source,
)
from derlem.catalog.status import Reason
from derlem.core.workspace import Workspace
from derlem.pipeline.outcomes import announce
from derlem.pipeline.run import write_provenance
from tests.factories.catalog import WHEN
from tests.factories.segments import write_segment

HOSTED = Declared(
    source="hub",
    adapter="huggingface",
    license="CC-BY-4.0",
    homepage="https://example.org/",
    config={"dataset": "org/name", "revision": "main"},
)
PLAIN = Declared(source="loose", adapter="files", license="CC0-1.0", homepage=None, config={"path": "çiçek"})


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two sources; of the hosted one's items three are of one commit, one of another, one was refused."""
    made = Workspace(tmp_path)
    commits = {"a": "c1", "b": "c1", "c": "c1", "d": "c2"}
    items = [
        Item(source="hub", uri=name, locator_state={"commit": commit}) for name, commit in commits.items()
    ]
    items.append(Item(source="hub", uri="e", reason=Reason.UNSAFE_PATH))
    items.append(Item(source="loose", uri="f", meta={"commit": "mine"}))
    with write_catalog(made) as connection:
        declare_sources(connection, [HOSTED, PLAIN])
        for name in ("hub", "loose"):
            listed = [item for item in items if item.source == name]
            for place, item in enumerate(listed):
                announce(item, ordinal=place, license="CC0-1.0", run="r", at=WHEN)
            rows = to_table(listed, row_schema()).to_pylist()
            path = write_segment(made, 1, rows, source=name, kind="discover")
            merge(connection, [inspect(made, path)])
    return made


def test_provenance_says_what_was_declared_and_what_came_of_it(workspace: Workspace) -> None:
    write_provenance(workspace)
    provenances = {
        name: json.loads((workspace.store / name / "provenance.json").read_text("utf-8"))
        for name in ("hub", "loose")
    }
    assert provenances["hub"]["config"] == HOSTED.config
    assert provenances["hub"]["license"] == "CC-BY-4.0"
    assert provenances["hub"]["revisions"] == {"c1": 3, "c2": 1}
    assert (provenances["hub"]["counts"]["pending"], provenances["hub"]["counts"]["rejected"]) == (4, 1)
    assert provenances["loose"]["revisions"] == {}
    assert provenances["loose"]["config"] == {"path": "çiçek"}


def test_the_registry_can_be_restored_from_provenance(workspace: Workspace, tmp_path: Path) -> None:
    write_provenance(workspace)
    with read_catalog(workspace) as connection:
        before = connection.execute("FROM sources ORDER BY position").fetchall()
        assert provenance(connection, "nobody") is None
    with write_catalog(Workspace(tmp_path / "other")) as connection:
        for registered in read_provenance(workspace):
            restore_source(connection, registered)
        assert connection.execute("FROM sources ORDER BY position").fetchall() == before


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"{}", b"[1]", b'{"position": "first"}'])
def test_damaged_provenance_is_told_with_its_file(workspace: Workspace, damage: bytes) -> None:
    write_provenance(workspace)
    path = workspace.store / "hub" / "provenance.json"
    path.write_bytes(damage)
    with pytest.raises(BadProvenance, match=r"hub/provenance\.json is damaged"):
        read_provenance(workspace)
