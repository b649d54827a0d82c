"""Fetching from a server that misbehaves, with kills: counts, classes, and rates as the server saw them."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from types import ModuleType
from typing import Any

import pytest
import yaml

from derlem.catalog.connection import read_catalog
from derlem.core.workspace import Workspace

Start = Callable[..., "Popen[str]"]

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 9))
CONCURRENCY, BURST = 3, 5

KINDS: dict[str, set[str | None]] = {
    "ok": {None},
    "bare": {None},
    "zipped": {None},
    "cut": {None},
    "bounce": {None},
    "flaky-503-1": {None},
    "429-seconds-1": {None},
    "404": {"http_4xx"},
    "410": {"http_4xx"},
    "500": {"http_5xx"},
    "drop": {"connection"},
    "drop-late": {"connection"},
    "reset": {"connection"},
    "delay-9": {"timeout"},
    "trickle-9": {"timeout"},
    "short": {"body_truncated"},
    "half-chunks": {"body_truncated"},
    "truncated": {"truncated"},
    "html": {"not_image"},
    "empty": {"empty"},
    "huge": {"body_too_large"},
    "announced": {"body_too_large"},
    "bomb": {"body_too_large"},
    "loop": {"redirect_loop"},
    "garbage": {"protocol"},
}
"""What a URL of a kind may end with; None is ready."""

PLENTY = {"ok": 400, "bare": 60, "zipped": 20, "cut": 20, "404": 40, "html": 20}
"""How often a kind comes; others once, of some 600."""


@pytest.fixture
def server(misbehaving: ModuleType) -> Iterator[Any]:
    with misbehaving.MisbehavingServer((*HOSTS, "127.0.0.20")) as running:
        yield running


def configure(folder: Path, urls: list[str], rate: float, **fetch: Any) -> Path:
    (folder / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
    limits = {"concurrency": CONCURRENCY, "requests_per_second": rate, "burst": BURST}
    config = {
        "workspace": "work",
        "sources": [{"name": "web", "adapter": "urls", "path": "urls.txt", "license": "CC0-1.0"}],
        "ingest": {"commit_seconds": 1.0, "workers": 2},
        "fetch": {
            "allow_private": ["127.0.0.0/8"],
            "per_host": limits,
            "timeouts": {"total": 2.0},
            "retries": 1,
            "backoff": 0.2,
            "max_bytes": "2MB",
            "breaker": {"failures": 30},
            **fetch,
        },
    }
    path = folder / "derlem.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def finish(process: Popen[str], seconds: float) -> None:
    _, errors = process.communicate(timeout=seconds)
    assert process.returncode == 0, errors


def test_every_url_has_one_fate_whatever_is_killed(
    server: Any, tmp_path: Path, start: Start, repeats: Callable[[int, int], int]
) -> None:
    chance = random.Random(7)
    count, kills = repeats(900, 50_000), repeats(2, 10)
    rate = repeats(60, 400)
    weights = [PLENTY.get(kind, 2) for kind in KINDS]
    kinds = chance.choices(list(KINDS), weights, k=count)
    kinds[: len(KINDS)] = KINDS  # each at least once
    urls = [
        server.url(f"{kind}/{number}/{'2' if kind == 'bounce' else 'x'}", HOSTS[number % len(HOSTS)])
        for number, kind in enumerate(kinds)
    ]
    config = configure(tmp_path, urls, rate)
    finish(start(config, "discover"), 300)
    expected = count / len(HOSTS) / rate
    for _ in range(kills):
        process = start(config, "ingest")
        try:
            process.communicate(timeout=chance.uniform(2.0, 2.0 + expected / kills))
        except TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    finish(start(config, "ingest"), 3600)

    with read_catalog(Workspace(tmp_path / "work")) as connection:
        rows = connection.execute("SELECT uri, status, reason FROM items").fetchall()
    assert len(rows) == len({uri for uri, _, _ in rows}) == count
    statuses = Counter(status for _, status, _ in rows)
    assert sum(statuses.values()) == count
    assert statuses.keys() <= {"ready", "rejected", "failed"}
    kind_of = dict(zip(urls, kinds, strict=True))
    strange = Counter((kind_of[uri], why) for uri, _, why in rows if why not in KINDS[kind_of[uri]])
    print(f"{count} URLs, {kills} kills:", *sorted(statuses.items()), "strange:", *strange.items())
    # A machine under load makes a few answers late, or a good many failures of a host come in a row.
    assert strange.total() <= count / 100, strange
    assert {why for _, why in strange} <= {"timeout", "host_down", "connection", "http_429"}, strange
    for host in HOSTS:
        assert server.busiest(host) <= CONCURRENCY, host
        assert server.excess(host, rate, BURST) <= CONCURRENCY, host  # what was about to be sent


def test_a_rest_survives_a_kill(
    server: Any, tmp_path: Path, start: Start, repeats: Callable[[int, int], int]
) -> None:
    seconds = repeats(4, 20)
    host = "127.0.0.20"
    urls = [server.url(f"429-seconds-{seconds}/0", host), *(server.url(f"ok/{n}", host) for n in range(50))]
    config = configure(tmp_path, urls, 100.0, hosts={host: {"concurrency": 1}})
    finish(start(config, "discover"), 300)
    process = start(config, "ingest")
    while not any(seen.ended for seen in server.of(host, files=False)):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    finish(start(config, "ingest"), 300)
    first, second, *_ = server.of(host, files=False)
    assert first.status == 429
    assert second.began - first.ended >= seconds
    with read_catalog(Workspace(tmp_path / "work")) as connection:
        found = connection.execute("SELECT status, count(*) FROM items GROUP BY status").fetchall()
    assert found == [("ready", 51)]
