"""A run that is told to end says how it ended; of one that could not, the next command says it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from derlem.catalog.workspace import Workspace


def derlem(config: Path, command: str) -> subprocess.Popen[str]:
    """The command as a process, which finds the same adapters as this one."""
    return subprocess.Popen(
        [sys.executable, "-m", "derlem", "-c", config, command],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heedful,
    )


def _heedful() -> None:
    """As from a shell's prompt, however these tests were started."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def wait_for_ingest(workspace: Workspace) -> None:
    current = workspace.state / "current.json"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if current.exists() and json.loads(current.read_text())["stage"] == "ingest":
            return
        time.sleep(0.05)
    pytest.fail("it never came to ingest")


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (signal.SIGINT, "interrupted"),
        (signal.SIGTERM, "interrupted"),
        (signal.SIGHUP, "interrupted"),
        (signal.SIGKILL, "killed"),
    ],
)
def test_a_run_that_is_told_to_end(
    workspace: Workspace, faulty: str, tmp_path: Path, number: signal.Signals, state: str
) -> None:
    config = tmp_path / "derlem.yaml"
    source = {"name": "s", "adapter": faulty, "license": "MIT", "acts": ["read_hang"]}
    config.write_text(yaml.safe_dump({"workspace": str(workspace.root), "sources": [source]}))
    process = derlem(config, "run")
    wait_for_ingest(workspace)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    if state == "killed":
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number, said
        assert said.splitlines()[-1].startswith("Interrupted. Nothing that was committed is lost")
        assert "Traceback" not in said
    status = derlem(config, "status")
    _, said = status.communicate(timeout=60)
    assert f"derlem -c {config} run): {state}" in said
