"""Opening the catalog: damage is reported, and distinguished from a lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import duckdb
import pytest

from derlem.catalog.connection import connect, read_catalog, write_catalog
from derlem.core.errors import CatalogUnreadable
from derlem.core.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """With a catalog, in a folder whose name must not be taken for a lock."""
    (tmp_path / "blocks").mkdir()
    made = Workspace(tmp_path / "blocks")
    with write_catalog(made):
        pass
    return made


@pytest.mark.parametrize("size", [0, 5, 4096, 100_000])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_damaged_file(workspace: Workspace, size: int, read_only: bool) -> None:
    workspace.catalog.write_bytes(b"\x55" * size)
    with pytest.raises(CatalogUnreadable, match="catalog rebuild"):
        connect(workspace, read_only=read_only, wait=3600)


@pytest.mark.parametrize("catalog", [read_catalog, write_catalog])
def test_damage_that_a_query_meets(workspace: Workspace, catalog: Any) -> None:
    with write_catalog(workspace) as connection:
        connection.execute(
            "CREATE TABLE hashes AS SELECT md5(CAST(range AS VARCHAR)) AS hash FROM range(200_000)"
        )
    rotten = bytearray(workspace.catalog.read_bytes())
    rotten[len(rotten) // 2] ^= 1
    workspace.catalog.write_bytes(rotten)
    with pytest.raises(CatalogUnreadable, match="catalog rebuild"), catalog(workspace) as connection:
        connection.execute("SELECT max(hash) FROM hashes").fetchall()
    with pytest.raises(ValueError, match="ours"), catalog(workspace):  # others stay what they are
        raise ValueError("ours")


def test_a_file_in_use(workspace: Workspace) -> None:
    with write_catalog(workspace):
        script = (
            "import sys; from pathlib import Path; from derlem.catalog.connection import connect;"
            "from derlem.core.workspace import Workspace;"
            "connect(Workspace(Path(sys.argv[1])), read_only=True, wait=0)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, workspace.root], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert f"CatalogBusy: the catalog {workspace.catalog} has been in use" in done.stderr
    assert f"PID {os.getpid()}" in done.stderr
    with read_catalog(workspace):
        pass


INTERRUPTED = """
import signal, sys
from pathlib import Path
from derlem.catalog.connection import read_catalog
from derlem.core.workspace import Workspace

def end(number, _):
    raise KeyboardInterrupt(number)

signal.signal(signal.SIGALRM, end)
with read_catalog(Workspace(Path(sys.argv[1]))) as connection:
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:  # with an end: DuckDB 2 may wait for that of a query that is interrupted
        connection.execute("SELECT count(*) FROM range(50000000) AS a(i) WHERE md5(i || 'x') = ''")
    except RuntimeError as error:
        print("DuckDB:", error)
        raise
"""


def test_an_interrupt_in_the_midst_of_a_query(workspace: Workspace) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, workspace.root], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "DuckDB: Query interrupted\n", done.stderr  # else `interruptible` is not needed
    last = done.stderr.splitlines()[-1]
    if duckdb.__version__.startswith("1."):
        assert last == f"KeyboardInterrupt: {int(signal.SIGALRM)}"
    else:  # DuckDB 2 forgets which it was
        assert last == "KeyboardInterrupt"


OPENED_AGAIN = """
import signal, sys
from pathlib import Path
from derlem.catalog.connection import transaction, write_catalog
from derlem.core.workspace import Workspace

def work(connection):
    {work}
    raise KeyboardInterrupt

def end(number, _):
    raise KeyboardInterrupt(number)

signal.signal(signal.SIGALRM, end)
workspace = Workspace(Path(sys.argv[1]))
try:
    with write_catalog(workspace) as connection:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        work(connection)
except KeyboardInterrupt:
    signal.setitimer(signal.ITIMER_REAL, 0)
    with write_catalog(workspace) as connection:
        print(connection.execute("SELECT 'fine'").fetchall()[0][0])
"""
# it has an end: DuckDB 2 may wait for the tasks of a query that was interrupted
LONG = "SELECT md5(i || 'x') AS m FROM range(8000000) AS a(i)"


@pytest.mark.parametrize(
    "work",
    [
        f'connection.execute("CREATE TEMP TABLE t AS {LONG}")',
        f'connection.execute("{LONG} ORDER BY m")',
        f'connection.sql("SELECT max(m) FROM ({LONG} WHERE i < 1000000)").to_arrow_table()',
        'reader = connection.execute("FROM range(10000000)").to_arrow_reader(10)',
        'connection.begin(); connection.execute("DELETE FROM items")',
    ],
    ids=["write", "read", "relation", "reader", "transaction"],
)
def test_work_that_was_interrupted_does_not_keep_the_catalog_open(workspace: Workspace, work: str) -> None:
    script = OPENED_AGAIN.replace("{work}", work)
    command = [sys.executable, "-c", script, str(workspace.root)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.stdout == "fine\n", done.stderr
