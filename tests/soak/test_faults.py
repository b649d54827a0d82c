"""Random faults in every command: items and shards are those of an undisturbed run."""

from __future__ import annotations

import os
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from derlem.core.workspace import Workspace
from tests.factories.pdf import Page, write_pdf
from tests.soak.faults import Trial, build_clock, disturb, members, outcome

PER_WORKSPACE = 20
"""Faults after which a workspace is completed and compared, and a new one begins."""


class Server:
    """A web server on one port, which an outage stops for a time."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._running = module.MisbehavingServer().__enter__()

    def url(self, path: str) -> str:
        """The URL of a path."""
        found: str = self._running.url(path)
        return found

    def outage(self, seconds: float) -> None:
        """Refuse connections for some seconds."""
        port = self._running.port
        self._running.__exit__()
        time.sleep(seconds)
        self._running = self._module.MisbehavingServer(port=port).__enter__()

    def stop(self) -> None:
        """End the server."""
        self._running.__exit__()


def configuration(folder: Path, sources: list[dict[str, Any]], server: Server) -> dict[str, Any]:
    """Files, archives, documents and URLs in small tasks with frequent commits."""
    documents = folder / "documents"
    documents.mkdir()
    for number in range(4):
        pages = [Page(content=b"%d 0 m 100 %d l S" % (number, page)) for page in range(5)]
        (documents / f"{number}.pdf").write_bytes(write_pdf(pages))
    urls = [server.url(f"{'ok' if number % 3 else 'bare'}/{number}") for number in range(40)]
    (folder / "urls.txt").write_text("".join(f"{url}\n" for url in [*urls, server.url("404/0")]))
    return {
        "sources": [
            *sources,
            {"name": "pdfs", "adapter": "files", "path": str(documents), "license": "MIT"},
            {"name": "web", "adapter": "urls", "path": str(folder / "urls.txt"), "license": "MIT"},
        ],
        "ingest": {"batch": 40, "commit_seconds": 0.2, "retry_after": 0, "attempts": 1000},
        "pdf": {"dpi": 72, "renderer": "pdfium"},
        "fetch": {
            "allow_private": ["127.0.0.0/8"],
            "per_host": {"requests_per_second": 400, "concurrency": 8, "burst": 8},
            "backoff": 0.05,
            "breaker": {"failures": 4, "pause": 0.1, "pauses": 2},
        },
        "sample": {"name": "s", "seed": 1, "target": 150, "balance": "equal"},
        "corpus": {"format": "webdataset", "shard_size": "60KB"},
    }


def compare(found: Workspace, expected: Workspace) -> None:
    """Fail with the items, or the members of shards, that differ."""
    (our_shards, our_items), (their_shards, their_items) = outcome(found), outcome(expected)
    if our_items != their_items:
        different = sorted(set(our_items) ^ set(their_items), key=str)[:10]
        raise AssertionError("\n".join(["items differ:", *map(str, different)]))
    if our_shards != their_shards:
        unequal = sorted(members(found) ^ members(expected))[:10]
        raise AssertionError("\n".join(["shards differ:", *map(str, unequal)]))


def test_items_and_shards_are_the_same_whatever_happens(
    many_items: dict[str, Any],
    clipart: Path,
    misbehaving: ModuleType,
    tmp_path: Path,
    repeats: Callable[[int, int], int],
) -> None:
    seed = int(os.environ.get("DERLEM_SEED", "23"))
    wanted = int(os.environ.get("DERLEM_FAULTS", repeats(2, 200)))
    few = [
        {
            "name": "clipart",
            "adapter": "files",
            "path": str(clipart),
            "license": "CC0-1.0",
            "category": "{dir}",
        }
    ]
    server = Server(misbehaving)
    try:
        config = configuration(tmp_path, many_items["sources"] if repeats(0, 1) else few, server)
        for name in ("undisturbed", "disturbed"):
            (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({"workspace": name, **config}))
        undisturbed = Trial(tmp_path / "undisturbed.yaml", random.Random(seed))
        undisturbed.complete()
        assert len(outcome(undisturbed.workspace)[0]) > 3

        clock = build_clock(tmp_path)
        trial = Trial(tmp_path / "disturbed.yaml", random.Random(seed), clock, server.outage)
        failures = []
        while trial.faults < wanted:
            try:
                before = trial.faults
                while trial.faults < min(wanted, before + PER_WORKSPACE):
                    disturb(trial)
                trial.complete()
                compare(trial.workspace, undisturbed.workspace)
                assert not list(trial.workspace.store.glob("*/.*")), "temporary files are left"
            except AssertionError as error:  # the other workspaces may show further faults
                failures.append("\n".join([str(error), *trial.kept]))
                print(failures[-1], flush=True)
            trial.kept.clear()
            shutil.rmtree(trial.workspace.root)
        print(f"seed {seed}, {trial.faults} faults:", *sorted(trial.counts.items()), sep="\n  ")
        assert not failures, "\n\n".join(failures)
    finally:
        server.stop()
