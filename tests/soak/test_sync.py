"""Runs with a copy in a bucket: kills, lost machines, signals, rivals and frozen holders."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest
import yaml
from s3_proxy import Proxy, proxying
from seaweed import CREDENTIALS, READY_BUCKET, Seaweed, serving

import derlem
from derlem.core.workspace import Workspace
from derlem.storage.local_files import segment_files
from tests.factories.machines import Machines, item_rows, shard_hashes
from tests.factories.stamps import make_stamps, pack_stamps

from .conftest import SOAK

AS_HOST = """
import socket, sys
name = sys.argv.pop(1)
socket.gethostname = lambda: name
from derlem.cli import main
main()
"""

Repeats = Callable[[int, int], int]
long = pytest.mark.skipif(not SOAK, reason="takes minutes, and measures times: make soak")


@pytest.fixture(scope="session")
def synced_items(tmp_path_factory: pytest.TempPathFactory, repeats: Repeats) -> dict[str, Any]:
    """A folder, a zip and a tar.gz of the same images: 180 items in `make test`, 5,100 in `make soak`."""
    folder = tmp_path_factory.mktemp("synced")
    stamps = make_stamps(folder / "stamps", repeats(60, 1700))
    pack_stamps(stamps, folder)
    caption = {"sidecar": ".txt", "format": "stamps", "languages": ["tr", "en"]}
    common = {"license": "GPL-2.0-only", "category": "{dir}", "caption": caption}
    return {
        "sources": [
            {"name": "loose", "adapter": "files", "path": str(stamps), **common},
            {"name": "zipped", "adapter": "archive", "path": str(folder / "stamps.zip"), **common},
            {"name": "packed", "adapter": "archive", "path": str(folder / "stamps.tar.gz"), **common},
        ],
        "ingest": {"workers": 2, "batch": 20, "segment_items": 20, "commit_seconds": 0.2},
        "sample": {"name": "s", "seed": 1, "target": repeats(40, 1000), "balance": "equal"},
        "corpus": {"shard_size": "100KB"},
    }


@pytest.fixture(scope="session")
def expected(
    tmp_path_factory: pytest.TempPathFactory, synced_items: dict[str, Any]
) -> tuple[list[tuple[int, str]], int]:
    """Shard hashes and number of items of an undisturbed run without a copy."""
    project = derlem.Project({**synced_items, "workspace": str(tmp_path_factory.mktemp("plain") / "work")})
    assert project.run().ok
    return shard_hashes(project.workspace), len(item_rows(project.workspace))


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def own_server(tmp_path: Path, environment: None) -> Iterator[Seaweed]:
    """A server that a test may kill."""
    with serving(tmp_path / "seaweed") as server:
        yield server


@pytest.fixture
def machines(tmp_path: Path, synced_items: dict[str, Any], own_server: Seaweed) -> Iterator[Machines]:
    """Projects with a copy behind a proxy of this test's own."""
    with proxying(own_server.url) as proxy:
        sync = {"url": f"s3://{READY_BUCKET}/copy", "endpoint_url": proxy.url, "lease_seconds": 2}
        found = Machines(tmp_path, {**synced_items, "sync": sync})
        found.proxy = proxy  # type: ignore[attr-defined]
        yield found


def start(machines: Machines, name: str, *arguments: str, **sync: Any) -> subprocess.Popen[str]:
    """Start the command on the machine `name`, whose host has that name, in a process group of its own."""
    config = machines.folder / f"{name}.yaml"
    config.write_text(yaml.safe_dump(machines.values(name, **sync)))
    return subprocess.Popen(
        [sys.executable, "-c", AS_HOST, name, "-c", str(config), "--wait", "60", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def until(process: subprocess.Popen[str], workspace: Workspace, files: int) -> None:
    """Wait until the workspace has grown by some segment files, or the process has ended."""
    goal = len(segment_files(workspace)) + files
    while process.poll() is None and len(segment_files(workspace)) < goal:
        time.sleep(0.01)


def outcomes(workspace: Workspace) -> dict[str, int]:
    """Items that each run has processed, from the states of runs."""
    counts = {}
    for path in workspace.state.glob("[0-9]*.json"):
        stages = json.loads(path.read_text())["counts"]
        counts[path.stem] = sum(n for key, n in stages.get("ingest", {}).items() if key != "bytes")
    return counts


def rows_of(workspace: Workspace, paths: tuple[str, ...] | list[str]) -> int:
    return sum(
        pq.read_metadata(workspace.root / path).num_rows for path in paths if path.endswith(".parquet")
    )


@long
def test_whatever_dies_the_shards_are_the_same(
    machines: Machines, own_server: Seaweed, expected: tuple[list[tuple[int, str]], int], repeats: Repeats
) -> None:
    chance = random.Random(19)
    proxy: Proxy = machines.proxy  # type: ignore[attr-defined]
    name, number, unpushed = "m0", 0, 0
    processed: dict[str, int] = {}
    events = ["machine", "server", "coordinator", "worker", "faults"]
    met = dict.fromkeys(events, 0)
    shards, items = expected
    for turn in range(repeats(2, 30)):
        event = events[turn % 5] if turn < 5 else chance.choice(events)
        workspace = Workspace(machines.folder / name)
        process = start(machines, name, "run")
        until(process, workspace, chance.randint(1, repeats(4, 24)))
        alive = process.poll() is None
        met[event] += alive
        if event == "worker" and alive:
            family = psutil.Process(process.pid).children(recursive=True)
            with_work = [each for each in family if each.is_running()]
            if with_work:
                chance.choice(with_work).kill()
            until(process, workspace, 2)
        elif event == "server":
            own_server.kill()
            until(process, workspace, 2)
            own_server.start()
            until(process, workspace, 2)
        elif event == "faults":
            for action in ("slow_down", "cut", "cut_after", "truncate", "conflict"):
                proxy.inject(action, chance=0.1)
            until(process, workspace, 6)
            proxy.faults.clear()
        kill(process)
        processed |= outcomes(workspace)
        if event == "machine" and workspace.root.exists():
            status = machines.project(name).sync_status()
            unpushed += rows_of(workspace, status.local_only)
            shutil.rmtree(workspace.root)
            number += 1
            name = f"m{number}"
    process = start(machines, name, "run")
    _, errors = process.communicate(timeout=900)
    assert process.returncode == 0, errors
    project = machines.project(name)
    processed |= outcomes(project.workspace)
    print("events:", met, "processed:", sum(processed.values()), "of", items, "unpushed:", unpushed)
    assert shard_hashes(project.workspace) == shards
    assert len(item_rows(project.workspace)) == items and not project.audit().failed
    assert sum(processed.values()) <= items + unpushed


@long
def test_a_lost_machine_gives_back_what_was_committed(machines: Machines, repeats: Repeats) -> None:
    """Everything that was committed ten seconds before; the short version waits for the push instead."""
    chance = random.Random(3)
    losses: list[float] = []
    for turn in range(repeats(1, 20)):
        name = f"m{turn}"
        workspace = Workspace(machines.folder / name)
        process = start(machines, name, "discover" if turn == 0 and repeats(0, 1) == 0 else "run")
        until(process, workspace, chance.randint(2, repeats(2, 30)))
        kill(process)
        at = time.time()
        local = {path: (workspace.root / path).stat().st_mtime for path in segment_files(workspace)}
        other = Machines(machines.folder, machines.config).project(f"{name}-after")
        shutil.rmtree(workspace.root)
        try:
            other.sync_pull()
        except derlem.ConfigError:  # nothing was pushed before the kill
            pulled: set[str] = set()
        else:
            pulled = set(segment_files(other.workspace))
        lost = [at - changed for path, changed in local.items() if path not in pulled]
        losses.append(max(lost, default=0.0))
        shutil.rmtree(other.workspace.root, ignore_errors=True)
    print("seconds lost:", [round(each, 1) for each in losses])
    assert max(losses) < 12


@long
def test_a_signal_pushes_the_last_commit(machines: Machines, repeats: Repeats) -> None:
    chance = random.Random(7)
    times = []
    for _ in range(repeats(1, 20)):
        workspace = Workspace(machines.folder / "m")
        process = start(machines, "m", "run")
        until(process, workspace, chance.randint(1, repeats(3, 12)))
        if process.poll() is not None:
            shutil.rmtree(workspace.root)
            continue
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        times.append(time.monotonic() - began)
        assert process.returncode in (0, 128 + signal.SIGTERM), errors
        status = machines.project("m").sync_status()
        assert (status.local_only, status.differing) == ((), ()), errors
        assert status.holder is None, "the lease is released"
    print("seconds to exit:", [round(each, 1) for each in times])
    if repeats(0, 1):
        assert max(times) < 10


RACER = """
import json, sys, time
import derlem
from derlem.core.errors import InstanceRunning
project = derlem.Project(json.loads(sys.argv[1]))
for line in sys.stdin:
    try:
        with project._execution.lock("race"):
            began = time.monotonic()
            time.sleep(0.02)
            print(json.dumps([began, time.monotonic()]), flush=True)
    except InstanceRunning as error:
        print(json.dumps(str(error)), flush=True)
"""


@pytest.mark.short(1)
@pytest.mark.parametrize("names", [("m", "m"), ("m", "n")], ids=["one workspace", "one bucket"])
def test_two_instances_never_run_at_once(
    machines: Machines, names: tuple[str, str], repeats: Repeats
) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, json.dumps(machines.values(name))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    ran = held = 0
    try:
        for _ in range(repeats(3, 100)):
            for racer in racers:
                assert racer.stdin is not None
                racer.stdin.write("go\n")
                racer.stdin.flush()
            answers = [json.loads(racer.stdout.readline()) for racer in racers]  # type: ignore[union-attr]
            spans = sorted(answer for answer in answers if isinstance(answer, list))
            assert spans, answers
            assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
            ran += len(spans)
            held += len(answers) - len(spans)
            assert all(
                "another instance works here: pid" in each for each in answers if isinstance(each, str)
            )
    finally:
        for racer in racers:
            racer.kill()
            racer.communicate()
    print("ran:", ran, "ended with exit code 4:", held)


def test_a_frozen_holder_cannot_push(machines: Machines) -> None:
    workspace = Workspace(machines.folder / "m")
    frozen = start(machines, "m", "run", lease_seconds=1)
    until(frozen, workspace, 2)
    assert frozen.poll() is None, frozen.communicate()
    os.killpg(frozen.pid, signal.SIGSTOP)
    second = machines.project("n", lease_seconds=1)
    waiting = start(machines, "n", "sync", "push", lease_seconds=1)
    _, errors = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, errors
    held = second.sync_status()
    os.killpg(frozen.pid, signal.SIGCONT)
    _, errors = frozen.communicate(timeout=120)
    assert frozen.returncode == 4, errors
    assert "took over" in errors and "may not push" in errors
    assert second.sync_status().commit == held.commit, "nothing was pushed after the pause"
    assert second.sync_status().pushed_by == "n"


@long
def test_the_fingerprints_of_earlier_runs(machines: Machines, repeats: Repeats) -> None:
    """Images that are added between runs are not there before."""
    folder = machines.folder / "images"
    [source, *_] = machines.config["sources"]
    machines.config |= {
        "sources": [{**source, "path": str(folder)}],
        "sample": {"name": "s", "seed": 1, "target": 10, "min_per_source": 0},
    }
    states = []
    for number in range(repeats(1, 3)):
        make_stamps(folder / str(number), 20 * (number + 1))
        project = machines.project("m")
        project.discover()
        project.ingest()
        drawn = project.sample()
        run = project.status().run
        assert run is not None
        states.append((run.run, drawn.fingerprint, len(item_rows(project.workspace))))
    for number, (run_id, fingerprint, items) in enumerate(states):
        machines.project(f"at{number}").sync_pull(at=run_id)
        restored = machines.detached(f"at{number}")
        assert len(item_rows(restored.workspace)) == items
        assert restored.sample().fingerprint == fingerprint
    assert len({fingerprint for _, fingerprint, _ in states}) == len(states)
