"""A ledger that cannot be read or written ends the run with an error."""

from __future__ import annotations

import errno
import random
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from derlem.adapters.http import ledger
from derlem.adapters.http.ledger import Known, Ledger, LedgerError, OriginRow, clear_host, paused_hosts
from derlem.core.durable import DiskError

HERE = Known(sha256="ab" * 32, size=1)


def remember_until_error(memory: Ledger) -> None:
    """Write to the ledger until an error."""
    deadline = time.monotonic() + 20
    for number in range(10**9):
        memory.remember(f"http://example.org/{number}", HERE)
        if time.monotonic() > deadline:
            return
        time.sleep(0.001)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "FLUSH_SECONDS", 0.05)
    memory = Ledger(tmp_path / "ledger.sqlite")
    with memory.engine.connect() as connection:  # the connection returns to the pool with this setting
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(DiskError) as caught:
        remember_until_error(memory)
    assert caught.value.number == errno.ENOSPC
    with pytest.raises(DiskError):
        memory.close()


def test_a_ledger_locked_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "FLUSH_SECONDS", 0.05)
    monkeypatch.setattr(ledger, "BUSY_SECONDS", 0.1)
    path = tmp_path / "ledger.sqlite"
    memory = Ledger(path)
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match=r"ledger\.sqlite cannot be used: .*locked"):
        remember_until_error(memory)
    other.close()
    with pytest.raises(LedgerError):
        memory.close()


def use(path: Path) -> None:
    """Every query and every write of a ledger."""
    memory = Ledger(path)
    try:
        for number in range(50):
            url = f"http://example.org/{number}"
            for ask in (
                lambda url=url: memory.known([url]),
                lambda number=number: memory.pause_of(f"host-{number}", 1e9),
                lambda number=number: memory.origin(f"http://host-{number}"),
                lambda url=url: memory.remember(url, HERE._replace(etag=url, pack="p")),
                lambda number=number: memory.pause_host(f"host-{number}", time.time() + 60, "http_429"),
                lambda number=number: memory.remember_origin(
                    OriginRow(origin=f"http://host-{number}", robots_status=200, robots="ç", at=time.time())
                ),
            ):
                with suppress(LedgerError):
                    ask()
        with suppress(LedgerError):
            list(memory.packed())
        with suppress(LedgerError):
            memory.forget([HERE.sha256])
    finally:
        memory.close()


@pytest.mark.parametrize("seed", range(12))
def test_damage_is_a_ledger_error(tmp_path: Path, seed: int) -> None:
    """Damage that a query reads is a LedgerError, and a new ledger works."""
    path = tmp_path / "ledger.sqlite"
    use(path)
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    if seed % 3 == 0:
        data = data[: chance.randrange(1, len(data))]
    elif seed % 3 == 1:
        for _ in range(chance.randrange(1, 200)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    else:
        data = bytearray(chance.randbytes(len(data)))
    path.write_bytes(data)
    with suppress(LedgerError):
        use(path)
    path.unlink()
    use(path)


def test_entries_that_are_not_files(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").mkdir()
    with pytest.raises(LedgerError, match="unable to open"):
        Ledger(tmp_path / "ledger.sqlite")


def test_a_pause_is_bounded_whatever_was_recorded(tmp_path: Path) -> None:
    with closing(Ledger(tmp_path / "ledger.sqlite")) as memory:
        now = time.time()
        memory.pause_host("a", now + 999_999_999, "http_429")
        until, *_ = memory.pause_of("a", 3600) or (0.0, "", 0.0)
        assert now + 3590 < until < now + 3610
        [(host, reason, since, end)] = paused_hosts(tmp_path / "ledger.sqlite", 3600)
        assert (host, reason, (end - since).total_seconds()) == ("a", "http_429", 3600)
        assert clear_host(tmp_path / "ledger.sqlite", "a") and not clear_host(tmp_path / "ledger.sqlite", "a")
        assert memory.pause_of("a", 3600) is None


def test_a_clock_that_goes_back_moves_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    present = time.time()
    with closing(Ledger(tmp_path / "ledger.sqlite")) as memory:
        monkeypatch.setattr(time, "time", lambda: present + 10 * 365 * 86_400)
        memory.pause_host("a", present + 10 * 365 * 86_400 + 60, "http_429")
        memory.pause_host("b", present + 10 * 365 * 86_400 + 60, "http_429")
        monkeypatch.setattr(time, "time", lambda: present)
        memory.pause_host("b", present + 30, "http_5xx")
        assert memory.pause_of("a", 86_400) == (present + 60, "http_429", present)
        assert memory.pause_of("b", 86_400) == (present + 30, "http_5xx", present)
        monkeypatch.setattr(time, "time", lambda: present + 61)
        ended = memory.pause_of("a", 86_400)
        assert ended is not None and ended.until < time.time()


def test_the_first_failure_is_kept_until_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.sqlite"
    with closing(Ledger(path)) as memory:
        now = time.time()
        memory.pause_host("a", now + 10, "host_down", now - 60)
        memory.answered("a")  # of a request sent before the pause
        monkeypatch.setattr(time, "time", lambda: now + 20)
        memory.pause_host("a", now + 40, "host_down")
        [(_, _, since, until)] = paused_hosts(path, 3600)
        assert (since.timestamp(), until.timestamp()) == pytest.approx((now - 60, now + 40))
        monkeypatch.setattr(time, "time", lambda: now + 41)
        memory.answered("a")
        assert memory.pause_of("a", 3600) is None
