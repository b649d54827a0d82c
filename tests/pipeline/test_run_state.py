"""The state files and the catalog agree on a run's end, regardless of the moment of a kill."""

from __future__ import annotations

import json
import logging
import os

import pytest

from derlem.catalog.connection import read_catalog, write_catalog
from derlem.core.workspace import Workspace
from derlem.pipeline.ingest_options import IngestOptions
from derlem.pipeline.lock import instance_lock
from derlem.pipeline.run import start_run
from derlem.pipeline.state import RunState, StateFile, has_died, last_state, read_states


def states(workspace: Workspace) -> dict[str, str]:
    with read_catalog(workspace) as connection:
        return dict(connection.execute("SELECT run, state FROM runs").fetchall())


def one_run(workspace: Workspace) -> str:
    with start_run(workspace, "test", "", IngestOptions()) as work:
        return work.run


def recorded(workspace: Workspace, run: str) -> str:
    state: str = json.loads((workspace.state / f"{run}.json").read_text())["state"]
    return state


def test_a_run_killed_while_running(workspace: Workspace) -> None:
    first = one_run(workspace)
    with write_catalog(workspace) as connection:
        connection.execute("UPDATE runs SET state = 'running', finished_at = NULL")
    for name in (f"{first}.json", "current.json"):
        path = workspace.state / name
        path.write_text(json.dumps({**json.loads(path.read_text()), "state": "running"}))
    second = one_run(workspace)
    assert states(workspace) == {first: "interrupted", second: "done"}
    assert recorded(workspace, first) == "interrupted"


@pytest.mark.parametrize(
    "lag", ["UPDATE runs SET state = 'running', finished_at = NULL", "DELETE FROM runs"], ids=["old", "none"]
)
def test_a_run_killed_between_the_writes_of_file_and_catalog(workspace: Workspace, lag: str) -> None:
    first = one_run(workspace)
    with write_catalog(workspace) as connection:
        connection.execute(lag)
    second = one_run(workspace)
    assert states(workspace) == {first: "done", second: "done"}
    assert recorded(workspace, first) == "done"


DAMAGE = [b"", b"\xff\xfe", b"{}", b"[1]", b'{"run": null, "state": 5}']


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_state_stops_no_run(workspace: Workspace, damage: bytes) -> None:
    """The catalog takes the state from the run's own file, even after a kill."""
    first = one_run(workspace)
    own = workspace.state / f"{first}.json"
    own.write_text(json.dumps({**json.loads(own.read_text()), "state": "running", "finished_at": None}))
    (workspace.state / "current.json").write_bytes(damage)
    second = one_run(workspace)
    assert states(workspace) == {first: "interrupted", second: "done"}
    assert recorded(workspace, first) == "interrupted"


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_in_all_state_files(workspace: Workspace, damage: bytes) -> None:
    first = one_run(workspace)
    for path in workspace.state.glob("*.json"):
        path.write_bytes(damage)
    assert last_state(workspace) is None
    assert read_states(workspace) == []
    second = one_run(workspace)
    assert states(workspace) == {first: "done", second: "done"}


def test_an_error_ends_a_run_as_failed(workspace: Workspace) -> None:
    with pytest.raises(ValueError, match="stop"), start_run(workspace, "test", "", IngestOptions()):
        raise ValueError("stop")
    assert set(states(workspace).values()) == {"failed"}


def test_a_killed_run_is_recognized_by_its_lock(workspace: Workspace) -> None:
    """A process with the run's pid, or another host name, does not make a killed run a running one."""
    first = one_run(workspace)
    path = workspace.state / "current.json"
    text = json.loads(path.read_text()) | {"state": "running"}
    for change in ({"pid": os.getpid()}, {"host": "another"}, {"pid": 1}):
        path.write_text(json.dumps(text | change))
        state = last_state(workspace)
        assert state is not None and state.run == first and has_died(workspace, state)
    path.write_text(json.dumps(text | {"pid": os.getpid()}))
    state = last_state(workspace)
    assert state is not None
    with instance_lock(workspace, "run"):
        assert not has_died(workspace, state)
    state.pid += 1
    with instance_lock(workspace, "sample"):
        assert has_died(workspace, state)


def test_the_error_that_ended_a_run_is_recorded(
    workspace: Workspace, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("derlem"), "propagate", True)
    caplog.set_level(logging.INFO, "derlem.pipeline")
    with pytest.raises(ZeroDivisionError), start_run(workspace, "test", "", IngestOptions()) as work:
        work.state.enter("ingest")
        raise ZeroDivisionError("no rate")
    state = last_state(workspace)
    assert state is not None and (state.state, state.stage) == ("failed", "ingest")
    assert state.error == "ZeroDivisionError: no rate"
    assert f"run {state.run}: failed in stage 'ingest': ZeroDivisionError: no rate" in caplog.text


def test_the_state_has_rate_progress_and_last_commit(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    monkeypatch.setattr("derlem.pipeline.state.time.monotonic", lambda: clock[0])
    state = StateFile(workspace, RunState(run="r", command="c", config_hash=""))
    state.enter("ingest")
    for second in range(1, 91):
        clock[0] = 100.0 + second
        state.progress(second * (10 if second <= 30 else 20), 4000)
    state.committed()
    state.write()
    read = last_state(workspace)
    assert read is not None and (read.done, read.total) == (1800, 4000)
    assert read.rate == pytest.approx((1800 - 300) / 60, rel=0.05)
    assert read.last_commit and read.updated_at
    clock[0] += 600  # nothing progresses
    state.write()
    read = last_state(workspace)
    assert read is not None and read.rate == 0


def test_old_state_files_are_pruned(workspace: Workspace) -> None:
    workspace.state.mkdir(parents=True)
    for day in range(1, 6):
        (workspace.state / f"2020010{day}T000000Z-abcdef.json").write_text("{}")
    with start_run(workspace, "test", "", IngestOptions(), keep=3, days=1e5) as work:
        first = work.run
    names = sorted(path.name[:8] for path in workspace.state.glob("[0-9]*.json"))
    assert names == ["20200104", "20200105", first[:8]]
    with start_run(workspace, "test", "", IngestOptions()) as work:
        second = work.run
    assert sorted(path.stem for path in workspace.state.glob("[0-9]*.json")) == sorted([first, second])
    assert len(states(workspace)) == 2
