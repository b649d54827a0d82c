"""An outage in the middle of a run: logs and `status` give host, time, number of items and next attempt."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

ITEMS, SERVED = 40, 5


class Failing(HTTPServer):
    """Serves some images, then refuses connections."""

    left = SERVED
    down_at: datetime | None = None


class Images(BaseHTTPRequestHandler):
    server: Failing

    def do_GET(self) -> None:
        out = BytesIO()
        Image.new("RGB", (9, 9), (self.server.left, 0, 0)).save(out, "PNG")
        self.server.left -= 1
        self.close_connection = True
        if not self.server.left:
            self.server.socket.close()
            self.server.down_at = datetime.now(UTC)
        self.send_response(200)
        self.send_header("Content-Type", "image/png")
        self.send_header("Content-Length", str(out.tell()))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(out.getvalue())

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture
def failing() -> Iterator[Failing]:
    server = Failing(("127.0.0.1", 0), Images)

    def serve() -> None:
        while server.left:
            server.handle_request()

    thread = threading.Thread(target=serve)
    thread.start()
    yield server
    thread.join(timeout=60)
    server.server_close()


def sample_lines(text: str) -> dict[tuple[str, str], float]:
    """The samples of a file in Prometheus' text format: value by name and labels. Every line is checked."""
    found: dict[tuple[str, str], float] = {}
    typed = set()
    for line in text.splitlines():
        if match := re.fullmatch(r"# (HELP|TYPE) ([a-z_]+) (.+)", line):
            typed.add(match[2])
            assert match[1] == "HELP" or match[3] == "gauge"
            continue
        match = re.fullmatch(r'([a-z_]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)', line)
        assert match and match[1] in typed, line
        assert (match[1], match[2] or "") not in found
        found[match[1], match[2] or ""] = float(match[3])
    assert text.endswith("\n")
    return found


def test_an_outage_is_explained_by_logs_and_status(
    project: Callable[..., Any], tmp_path: Path, failing: Failing
) -> None:
    urls = tmp_path / "urls.txt"
    address = f"127.0.0.1:{failing.server_port}"
    urls.write_text("".join(f"http://{address}/{number}\n" for number in range(ITEMS)))
    mine = project(
        [{"name": "web", "adapter": "urls", "path": str(urls), "license": "CC0-1.0"}],
        fetch={
            "allow_private": ["127.0.0.0/8"],
            "respect": [],
            "per_host": {"concurrency": 1, "requests_per_second": 1000, "burst": 1},
            "retries": 0,
            "breaker": {"failures": 3, "pause": 0.05, "pauses": 1},
        },
        ingest={"workers": 1, "retry_after": 600},
        metrics=str(tmp_path / "metrics" / "derlem.prom"),
    )
    began = datetime.now(UTC)
    messages = mine.derlem("run").stderr
    assert "web, 127.0.0.1: " in messages and "host_down: left for a run after" in messages
    down_at = failing.down_at
    assert down_at is not None

    status = json.loads(mine.derlem("status", "--format", "json").stdout)
    run = status["run"]["run"]
    rows = [row for row in status["waiting"] if row["host"] == "127.0.0.1"]
    assert sum(row["waiting"] for row in rows) == ITEMS - SERVED + 2  # robots.txt and tdmrep.json were served
    for row in rows:
        since = datetime.fromisoformat(row["since"]).replace(tzinfo=UTC)
        again = datetime.fromisoformat(row["next_attempt"]).replace(tzinfo=UTC)
        assert began <= since <= datetime.now(UTC)
        assert again >= began + timedelta(seconds=600)
    assert {row["source"] for row in rows} == {"web"}
    assert status["run"]["state"] == "done" and status["run"]["last_commit"]

    table = mine.derlem("status").stdout
    assert re.search(r"web +127\.0\.0\.1 +host_down +\d+", table)
    lines = (mine.work / "logs" / "fetch.log").read_text().splitlines()
    [left] = [line for line in lines if "left for another run: host_down" in line]
    assert re.search(rf" run={run} source=web host=127\.0\.0\.1 rate=1000/s$", left)
    since = datetime.fromisoformat(re.search(r"failing since (\S+),", left)[1])  # type: ignore[index]
    assert down_at - timedelta(seconds=1) <= since <= datetime.now(UTC)

    found = sample_lines((tmp_path / "metrics" / "derlem.prom").read_text())
    assert found["derlem_items", '{source="web",status="failed"}'] == sum(row["waiting"] for row in rows)
    assert found["derlem_items", '{source="web",status="ready"}'] == SERVED - 2
    assert found["derlem_run_state", '{state="done"}'] == 1
    for name in ("derlem_last_commit_timestamp_seconds", "derlem_last_success_timestamp_seconds"):
        assert began.timestamp() <= found[name, ""] <= datetime.now(UTC).timestamp()
    assert not list((tmp_path / "metrics").glob(".*"))


def test_metrics_that_cannot_be_written_give_one_warning(project: Callable[..., Any], demo: Path) -> None:
    source = {"name": "s", "adapter": "files", "path": str(demo / "clipart"), "license": "CC0-1.0"}
    mine = project([source], metrics="/proc/derlem.prom")
    messages = mine.derlem("run").stderr
    assert messages.count("the metrics file /proc/derlem.prom cannot be written") == 1
    [run] = mine.rows("SELECT state, stage, error FROM runs")
    assert run == {"state": "done", "stage": "ingest", "error": None}
