"""The ledger, when it cannot be written: whoever relies on it hears of it."""

from __future__ import annotations

import errno
import sqlite3
import time
from pathlib import Path

import pytest

from derlem.adapters import ledger
from derlem.adapters.ledger import Known, Ledger, LedgerError
from derlem.catalog.disk import DiskError

HERE = Known(sha256="ab" * 32, size=1)


def remember_until_told(memory: Ledger) -> None:
    """Have it write, again and again, for as long as it says nothing."""
    deadline = time.monotonic() + 20
    for number in range(10**9):
        memory.remember(f"http://example.org/{number}", HERE)
        if time.monotonic() > deadline:
            return
        time.sleep(0.001)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "FLUSH_SECONDS", 0.05)
    memory = Ledger(tmp_path / "ledger.sqlite")
    with memory._engine.connect() as connection:  # it goes back to the pool as it is
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(DiskError) as caught:
        remember_until_told(memory)
    assert caught.value.number == errno.ENOSPC
    with pytest.raises(DiskError):
        memory.close()


def test_another_process_that_never_lets_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "FLUSH_SECONDS", 0.05)
    monkeypatch.setattr(ledger, "BUSY_SECONDS", 0.1)
    path = tmp_path / "ledger.sqlite"
    memory = Ledger(path)
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match=r"ledger\.sqlite cannot be written: .*locked"):
        remember_until_told(memory)
    other.close()
    with pytest.raises(LedgerError):
        memory.close()
