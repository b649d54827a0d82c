"""Unchanged bodies are not transferred again, and all processes share the ledger."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from derlem.adapters.http.ledger import Known, Ledger, OriginRow

URLS = 40


def test_a_second_run_transfers_nothing(server: Any, fetch: Any) -> None:
    urls = [server.url(f"ok/{number}") for number in range(URLS)]
    first = fetch(*urls)
    sent = server.body_bytes()
    second = fetch(*urls)
    assert server.body_bytes() == sent
    assert [second[url].data for url in urls] == [first[url].data for url in urls]
    assert {result.meta["fetch"]["status"] for result in second.values()} == {304}


def test_only_changed_bodies_are_transferred(server: Any, fetch: Any, misbehaving: Any) -> None:
    urls = [server.url(f"ok/{number}") for number in range(URLS)]
    fetch(*urls)
    sent = server.body_bytes()
    server.versions["/ok/7"] = 12345
    changed = fetch(*urls)
    assert changed[urls[7]].data == misbehaving.jpeg(12345)
    assert server.body_bytes() - sent == len(misbehaving.jpeg(12345))


def test_without_a_cache_no_body_is_stored(server: Any, fetch: Any, workspace: Any) -> None:
    url = server.url("ok/1")
    fetch(url, cache=False)
    assert not workspace.cache.exists()
    assert "if-none-match" not in server.of("127.0.0.1", files=False)[-1].headers
    fetch(url, cache=False)
    assert "if-none-match" not in server.of("127.0.0.1", files=False)[-1].headers


def test_damaged_or_missing_bytes_are_fetched_again(server: Any, fetch: Any, workspace: Any) -> None:
    urls = [server.url(f"ok/{number}") for number in range(5)]
    before = fetch(*urls)
    (pack,) = (workspace.cache / "packs").iterdir()
    data = pack.read_bytes()
    damaged = bytearray(data)
    at = data.index(before[urls[2]].data)
    damaged[at + 100] ^= 1
    pack.write_bytes(damaged[: -len(data) // 8])
    after = fetch(*urls)
    assert [after[url].data for url in urls] == [before[url].data for url in urls]
    statuses = [after[url].meta["fetch"]["status"] for url in urls]
    assert statuses[2] == 200
    assert statuses.count(304) >= 2
    pack.unlink()
    assert [result.data for result in fetch(*urls).values()]


def test_documents_are_stored_as_files(server: Any, fetch: Any, workspace: Any) -> None:
    body = b"%PDF-1.7\n" + b"x" * 2000
    server.files["127.0.0.1", "/a.pdf"] = (200, {"ETag": '"a"'}, body)
    url = server.url("a.pdf")
    fetch(url, accept=("application/pdf",))
    assert [path.read_bytes() for path in workspace.cache.rglob("*") if path.is_file()] == [body]


def test_an_answer_without_validators_is_fetched_again(server: Any, fetch: Any) -> None:
    url = server.url("bare/1")
    assert fetch(url)[url].data == fetch(url)[url].data
    assert len(server.paths()) == 2


WRITE = """
import sys, time
from pathlib import Path
from derlem.adapters.http.ledger import Known, Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(3000):
    ledger.remember(f"http://{sys.argv[2]}/{number}", Known("ab" * 32, 7, etag=f'"{number}"'))
    if number % 100 == 0:
        ledger.pause_host(f"{sys.argv[2]}-{number}", time.time() + 100, "http_429")
ledger.close()
"""


def test_processes_write_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    processes = [subprocess.Popen([sys.executable, "-c", WRITE, str(path), name]) for name in "abc"]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM urls").fetchone() == (9000,)
        assert connection.execute("SELECT count(*) FROM hosts").fetchone() == (90,)
    connection.close()
    ledger = Ledger(path)
    known = ledger.known([f"http://b/{number}" for number in range(500)] + ["http://d/1"])
    assert len(known) == 500
    assert known["http://b/7"] == Known("ab" * 32, 7, etag='"7"')
    ledger.close()


def pause(ledger: Ledger, host: str) -> tuple[float, str] | None:
    found = ledger.pause_of(host, 1e9)
    return None if found is None else (found.until, found.reason)


def test_pauses_are_never_shortened(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    now = time.time()
    ledger.pause_host("a", now + 100, "http_429")
    ledger.pause_host("a", now + 50, "host_down")
    assert pause(ledger, "a") == (now + 100, "http_429")
    ledger.pause_host("a", now + 200, "host_down")
    assert pause(ledger, "a") == (now + 200, "host_down")
    ledger.pause_host("b", now - 1, "http_429")
    assert pause(ledger, "b") == (now - 1, "http_429")
    assert pause(ledger, "c") is None
    ledger.close()


def test_site_files_expire_after_a_day(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.remember_origin(OriginRow(origin="http://a:80", robots_status=200, robots="x", at=time.time()))
    ledger.remember_origin(OriginRow(origin="http://b:80", robots_status=404, at=time.time() - 90_000))
    found = ledger.origin("http://a:80")
    assert found is not None and found.robots == "x"
    assert ledger.origin("http://b:80") is None
    ledger.close()


def test_queued_rows_are_visible_before_they_are_written(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    ledger.remember("http://a/1", Known("cd" * 32, 5, last_modified="yesterday"))
    assert ledger.known(["http://a/1"])["http://a/1"].last_modified == "yesterday"
    ledger.close()
