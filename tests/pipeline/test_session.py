"""What a run says of itself agrees everywhere, at whichever moment it was killed."""

from __future__ import annotations

import json

import pytest

from derlem.catalog.store import read_catalog, write_catalog
from derlem.catalog.workspace import Workspace
from derlem.pipeline.options import IngestOptions
from derlem.pipeline.session import session


def states(workspace: Workspace) -> dict[str, str]:
    with read_catalog(workspace) as connection:
        return dict(connection.execute("SELECT run, state FROM runs").fetchall())


def one_run(workspace: Workspace) -> str:
    with session(workspace, "test", "", IngestOptions()) as work:
        return work.run


def said(workspace: Workspace, run: str) -> str:
    state: str = json.loads((workspace.state / f"{run}.json").read_text())["state"]
    return state


def test_killed_while_it_ran(workspace: Workspace) -> None:
    first = one_run(workspace)
    with write_catalog(workspace) as connection:
        connection.execute("UPDATE runs SET state = 'running', finished_at = NULL")
    for name in (f"{first}.json", "current.json"):
        path = workspace.state / name
        path.write_text(json.dumps({**json.loads(path.read_text()), "state": "running"}))
    second = one_run(workspace)
    assert states(workspace) == {first: "interrupted", second: "done"}
    assert said(workspace, first) == "interrupted"


@pytest.mark.parametrize(
    "lag", ["UPDATE runs SET state = 'running', finished_at = NULL", "DELETE FROM runs"], ids=["old", "none"]
)
def test_killed_between_its_word_to_the_file_and_to_the_catalog(workspace: Workspace, lag: str) -> None:
    first = one_run(workspace)
    with write_catalog(workspace) as connection:
        connection.execute(lag)
    second = one_run(workspace)
    assert states(workspace) == {first: "done", second: "done"}
    assert said(workspace, first) == "done"


def test_an_error_ends_a_run_as_failed(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="stop"), session(workspace, "test", "", IngestOptions()):
        raise ValueError("stop")
    assert set(states(workspace).values()) == {"failed"}
