"""`kill -9` of the whole process group at random moments: the corpus is the one of an undisturbed run."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen, TimeoutExpired

import psutil
import yaml

from derlem.catalog.connection import read_catalog
from derlem.core.workspace import Workspace

Start = Callable[..., "Popen[str]"]


def finish(process: Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


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
    begun = time.monotonic()
    finish(start(configured, "run"))
    duration = time.monotonic() - begun
    undisturbed = Workspace(tmp_path / "work")
    expected = shard_hashes(undisturbed)
    assert len(expected) > 3

    disturbed = tmp_path / "disturbed.yaml"
    config = yaml.safe_load(configured.read_text())
    disturbed.write_text(yaml.safe_dump({**config, "workspace": "disturbed"}))
    chance = random.Random(20)
    kills = 0
    for _ in range(repeats(3, 20)):
        process = start(disturbed, "run")
        try:
            process.communicate(timeout=chance.uniform(0.3, duration / 2))
        except TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
    finish(start(disturbed, "run"))

    workspace = Workspace(tmp_path / "disturbed")
    assert kills > 0
    assert shard_hashes(workspace) == expected
    assert totals(workspace) == totals(undisturbed)
    assert not list(workspace.store.glob("*/.*")), "temporary files are left"
    with read_catalog(workspace) as connection:
        states = dict(connection.execute("SELECT state, count(*) FROM runs GROUP BY state").fetchall())
    assert "running" not in states


def test_the_catalog_is_readable_while_a_run_goes_on(
    configured: Path, tmp_path: Path, start: Start, repeats: Callable[[int, int], int]
) -> None:
    workspace = Workspace(tmp_path / "work")
    process = start(configured, "run")
    while not workspace.catalog.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    chance = random.Random(5)
    waits = []
    for _ in range(repeats(5, 20)):
        time.sleep(chance.uniform(0.0, 0.6))
        asked = time.monotonic()
        with read_catalog(workspace, wait=5.0) as connection:
            row = connection.execute(
                "SELECT sum(discovered), sum(pending + ready + expanded + rejected + failed + withdrawn)"
                " FROM progress"
            ).fetchone()
        waits.append(time.monotonic() - asked)
        assert row is not None and row[0] == row[1], "counts add up at any moment"
    finish(process)
    assert max(waits) <= 5.0


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
    finish(first)


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
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
