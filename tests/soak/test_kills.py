"""`kill -9` of the whole process group at random moments: the corpus is the one of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import psutil
import yaml

from derlem.catalog.connection import read_catalog
from derlem.core.workspace import Workspace

Start = Callable[..., "Popen[str]"]


def finish(process: Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def kill(process: Popen[str]) -> None:
    """End the process and its workers, unless they have ended."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def files(workspace: Workspace) -> int:
    """How many files a run has made so far, which shows its progress."""
    return sum(len(names) for _, _, names in os.walk(workspace.root))


def shard_hashes(workspace: Workspace) -> list[tuple[int, str]]:
    with read_catalog(workspace) as connection:
        return connection.execute("SELECT shard, sha256 FROM shards ORDER BY shard").fetchall()


def totals(workspace: Workspace) -> list[tuple[object, ...]]:
    with read_catalog(workspace) as connection:
        return connection.execute(
            "SELECT source, status, reason, count(*) FROM items GROUP BY ALL ORDER BY ALL"
        ).fetchall()


def test_killed_and_restarted_runs_give_the_same_shards(
    configured: Path, tmp_path: Path, start: Start, repeats: Callable[[int, int], int]
) -> None:
    finish(start(configured, "run"))
    undisturbed = Workspace(tmp_path / "work")
    whole = files(undisturbed)
    expected = shard_hashes(undisturbed)
    assert len(expected) > 3

    disturbed = tmp_path / "disturbed.yaml"
    config = yaml.safe_load(configured.read_text())
    disturbed.write_text(yaml.safe_dump({**config, "workspace": "disturbed"}))
    workspace = Workspace(tmp_path / "disturbed")
    chance = random.Random(20)
    kills = 0
    for _ in range(repeats(2, 20)):
        process = start(disturbed, "run")
        moment = files(workspace) + chance.randint(1, whole // 3)
        while process.poll() is None and files(workspace) < moment:
            time.sleep(0.002)
        kills += process.poll() is None
        kill(process)
    finish(start(disturbed, "run"))

    assert kills > 0
    assert shard_hashes(workspace) == expected
    assert totals(workspace) == totals(undisturbed)
    assert not list(workspace.store.glob("*/.*")), "temporary files are left"
    with read_catalog(workspace) as connection:
        states = dict(connection.execute("SELECT state, count(*) FROM runs GROUP BY state").fetchall())
    assert "running" not in states


def test_the_catalog_is_readable_while_a_run_goes_on(configured: Path, tmp_path: Path, start: Start) -> None:
    workspace = Workspace(tmp_path / "work")
    process = start(configured, "run")
    while not workspace.catalog.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    chance = random.Random(5)
    while process.poll() is None:
        time.sleep(chance.uniform(0.0, 0.3))
        with read_catalog(workspace, wait=60.0) as connection:
            row = connection.execute(
                "SELECT sum(discovered), sum(pending + ready + expanded + rejected + failed + withdrawn)"
                " FROM progress"
            ).fetchone()
        assert row is not None and row[0] == row[1], "counts add up at any moment"
    finish(process)


def test_a_second_instance_is_told_who_works(configured: Path, tmp_path: Path, start: Start) -> None:
    first = start(configured, "run")
    lock = tmp_path / "work" / "catalog.lock"
    while not (lock.exists() and lock.read_text()):
        assert first.poll() is None
        time.sleep(0.01)
    second = start(configured, "ingest")
    _, errors = second.communicate(timeout=60)
    assert second.returncode == 4
    assert f"pid {first.pid}" in errors
    assert first.poll() is None, "the first instance goes on"
    kill(first)


def test_workers_die_with_their_coordinator(configured: Path, tmp_path: Path, start: Start) -> None:
    process = start(configured, "run")
    coordinator = psutil.Process(process.pid)
    store = tmp_path / "work" / "store"
    while not list(store.glob("*/.*.tar.tmp")):  # a worker writes
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    family = coordinator.children(recursive=True)
    assert family
    coordinator.kill()
    process.wait()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive
