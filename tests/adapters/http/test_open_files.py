"""At the limit of open files, the run ends with one message, and no URL fails."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from derlem.adapters.http.failures import OpenFilesError, failure_of
from derlem.catalog.connection import read_catalog
from derlem.core.workspace import Workspace

FEW = 48
"""Limit of open files: enough for a worker, its ledger and its loop, but not for all connections."""
CONNECTIONS = 64


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_the_open_files_limit_is_not_a_failure_of_the_request(number: int) -> None:
    error = aiohttp.ClientOSError(number, os.strerror(number))
    with pytest.raises(OpenFilesError, match="ulimit -n"):
        failure_of(error)


def derlem(config: Path, files: int | None) -> subprocess.CompletedProcess[str]:
    def limited() -> None:
        if files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

    command = [sys.executable, "-m", "derlem", "-c", str(config), "run"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, preexec_fn=limited)


def states(work: Path) -> dict[str, int]:
    with read_catalog(Workspace(work)) as connection:
        rows = connection.execute("SELECT status, count(*) FROM items GROUP BY status").fetchall()
    return {str(status): int(count) for status, count in rows}


def test_the_run_ends_and_can_resume(server: Any, tmp_path: Path) -> None:
    urls = [f"http://127.0.0.1:{server.port}/delay-1/{n}" for n in range(CONNECTIONS)]
    (tmp_path / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
    config = tmp_path / "derlem.yaml"
    many = {"concurrency": CONNECTIONS, "burst": CONNECTIONS, "requests_per_second": 1000}
    limits = {"per_host": many}
    source = {"name": "web", "adapter": "urls", "path": "urls.txt", "license": "CC0-1.0", "limits": limits}
    settings = {"workspace": "work", "fetch": {"allow_private": ["127.0.0.1"]}, "ingest": {"workers": 1}}
    config.write_text(yaml.safe_dump({**settings, "sources": [source]}))
    done = derlem(config, FEW)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: no further connection can be opened: Too many")
    assert "Traceback" not in done.stderr
    assert states(tmp_path / "work") == {"discovered": CONNECTIONS}
    done = derlem(config, None)
    assert done.returncode == 0, done.stderr
    assert states(tmp_path / "work") == {"ready": CONNECTIONS}
