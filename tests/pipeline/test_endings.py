"""A run records its end by a signal; the next command records the end of a killed run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from derlem.catalog.connection import read_catalog
from derlem.core.workspace import Workspace


def derlem(config: Path, command: str) -> subprocess.Popen[str]:
    """The command as a process with the import path of this process."""
    return subprocess.Popen(
        [sys.executable, "-m", "derlem", "-c", config, command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_restore_signals,
    )


def _restore_signals() -> None:
    """Restore the default signal handlers, regardless of the start of the tests."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail("the condition was not reached")
        time.sleep(0.05)


def ingesting(workspace: Workspace) -> bool:
    current = workspace.state / "current.json"
    return current.exists() and json.loads(current.read_text())["stage"] == "ingest"


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (signal.SIGINT, "interrupted"),
        (signal.SIGTERM, "interrupted"),
        (signal.SIGHUP, "interrupted"),
        (signal.SIGKILL, "killed"),
    ],
)
def test_a_signal_ends_a_run_with_a_recorded_state(
    workspace: Workspace, faulty: str, tmp_path: Path, number: signal.Signals, state: str
) -> None:
    config = tmp_path / "derlem.yaml"
    source = {"name": "s", "adapter": faulty, "license": "MIT", "acts": ["read_hang"]}
    config.write_text(yaml.safe_dump({"workspace": str(workspace.root), "sources": [source]}))
    process = derlem(config, "run")
    wait_until(lambda: ingesting(workspace))
    process.send_signal(number)
    _, messages = process.communicate(timeout=60)
    if state == "killed":
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number, messages
        assert messages.splitlines()[-1].startswith("Interrupted. Committed work is kept")
        assert "Traceback" not in messages
    status = derlem(config, "status")
    _, messages = status.communicate(timeout=60)
    assert f"derlem -c {config} run): {state}" in messages


def test_an_interrupt_inside_exec_ends_with_the_same_exit_code(
    workspace: Workspace, faulty: str, tmp_path: Path
) -> None:
    """CPython marks the interpreter when an interrupt leaves exec(), and `python -m` then ends by SIGINT."""
    config = tmp_path / "derlem.yaml"
    source = {"name": "s", "adapter": faulty, "license": "MIT", "acts": ["list_interrupted"]}
    config.write_text(yaml.safe_dump({"workspace": str(workspace.root), "sources": [source]}))
    process = derlem(config, "discover")
    _, messages = process.communicate(timeout=60)
    assert messages.splitlines()[-1].startswith("Interrupted. Committed work is kept")
    assert process.returncode == 128 + signal.SIGHUP, messages


def test_outcomes_before_an_interrupt_are_kept(workspace: Workspace, faulty: str, tmp_path: Path) -> None:
    config = tmp_path / "derlem.yaml"
    source = {"name": "s", "adapter": faulty, "license": "MIT", "acts": ["read_slow"] * 600}
    ingest = {"workers": 2, "commit_seconds": 3600}
    config.write_text(
        yaml.safe_dump({"workspace": str(workspace.root), "sources": [source], "ingest": ingest})
    )
    process = derlem(config, "run")
    plugin = find_spec("derlem_faulty")
    assert plugin is not None and plugin.origin is not None
    begun = Path(plugin.origin + ".slow")
    wait_until(lambda: begun.exists() and begun.stat().st_size >= 10)
    process.terminate()
    _, messages = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM, messages
    with read_catalog(workspace) as connection:
        found = dict(connection.execute("SELECT status, count(*) FROM items GROUP BY status").fetchall())
    assert 8 <= found["ready"] < 600  # two of the ten may have been in progress
    assert found["ready"] + found["discovered"] == 600
    assert not list(workspace.store.rglob("*.tmp"))
