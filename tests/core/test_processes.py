"""Processes that end with their parent, and workers that are killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from derlem.core.workers import WorkerLost, map_in_workers

PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.PIPE)
print(child.pid, flush=True)
time.sleep(600)
"""

CHILD = """
import pathlib, sys, time
from derlem.core.processes import exit_with_parent
exit_with_parent(lambda: pathlib.Path({path!r}).write_text("cleaned up"))
time.sleep(600)
"""

TASK = """
import os, time

def wait(folder):
    open(f"{folder}/{os.getpid()}", "w").close()
    time.sleep(600)
"""

POOL = """
import sys
from derlem.core.workers import map_in_workers
from task import wait

list(map_in_workers(wait, [sys.argv[1]] * 2, 2))  # no guard: workers do not import this program
"""


def gone(pid: int) -> bool:
    """Whether the process has ended; a zombie without a waiting parent has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.02)


def test_a_subprocess_ends_with_a_killed_parent(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD.format(path=str(mark))], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    wait_for(lambda: gone(child))
    assert mark.read_text() == "cleaned up"


def test_pool_workers_end_with_a_killed_parent(tmp_path: Path) -> None:
    program, folder = tmp_path / "program.py", tmp_path / "pids"
    program.write_text(POOL)
    (tmp_path / "task.py").write_text(TASK)
    folder.mkdir()
    parent = subprocess.Popen([sys.executable, program, folder])
    wait_for(lambda: len(list(folder.iterdir())) == 2)
    parent.kill()
    parent.wait()
    for path in folder.iterdir():
        wait_for(partial(gone, int(path.name)))


def _double(number: int) -> int:
    return 2 * number


def _killed_at_three(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_gives_a_result(workers: int) -> None:
    assert sorted(map_in_workers(_double, range(20), workers)) == [2 * number for number in range(20)]


def test_a_killed_worker_is_an_error_and_no_hang() -> None:
    with pytest.raises(WorkerLost, match="killed"):
        list(map_in_workers(_killed_at_three, range(20), 2))
    assert not multiprocessing.active_children()
