"""No secret of a configuration or URL is stored where it is not needed; errors are JSON where asked for."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

SECRET, PASSWORD, SIGNATURE = "s3cr3t-of-env", "p4ssw0rd-of-url", "a1b2c3d4e5f6a7b8"


class Signed(BaseHTTPRequestHandler):
    """An image at /signed, after a redirect from everywhere else."""

    def do_GET(self) -> None:
        if self.path == "/robots.txt" or self.path.startswith("/.well-known"):
            self.send_error(404)
        elif self.path.startswith("/signed"):
            out = BytesIO()
            Image.new("RGB", (9, 9), "red").save(out, "PNG")
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            self.wfile.write(out.getvalue())
        elif self.path.startswith("/lost"):
            self.send_response(302)
            self.send_header("Location", f"ftp://host/?X-Amz-Signature={SIGNATURE}")
            self.end_headers()
        else:
            self.send_response(302)
            self.send_header("Location", f"/signed?X-Amz-Signature={SIGNATURE}")
            self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Write nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Signed) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def files_with(folder: Path, text: str) -> list[str]:
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and text.encode() in path.read_bytes()
    ]


def test_secrets_are_stored_nowhere(
    project: Callable[..., Any], tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIST_TOKEN", SECRET)
    lists = tmp_path / f"list-{SECRET}"
    lists.mkdir()
    host = f"127.0.0.1:{port}"
    (lists / "a.txt").write_text(f"http://{host}/a\nhttp://{host}/lost\nhttp://user:{PASSWORD}@{host}/b\n")
    source = {
        "name": "web",
        "adapter": "urls",
        "path": str(tmp_path / "list-${LIST_TOKEN}" / "*.txt"),
        "homepage": f"http://user:{PASSWORD}@example.org/",
        "license": "CC0-1.0",
    }
    mine = project(
        [source],
        fetch={"allow_private": ["127.0.0.0/8"]},
        sample={"name": "s", "target": 1},
        corpus={"format": "parquet"},
    )
    mine.derlem("--log-level", "fetch=DEBUG", "run")
    rows = mine.rows("SELECT uri, status, reason, detail, meta FROM items ORDER BY uri")
    assert [row["status"] for row in rows] == ["rejected", "ready", "rejected"]
    assert rows[0]["uri"] == f"http://***@{host}/b"
    assert json.loads(rows[1]["meta"])["fetch"]["url"] == f"http://{host}/signed?X-Amz-Signature=***"
    assert rows[2]["detail"].startswith("redirect to 'ftp://host/?X-Amz-Signature=***'")
    [registered] = mine.rows("SELECT config, homepage FROM sources")
    assert "list-${LIST_TOKEN}" in registered["config"]
    assert registered["homepage"] == "http://***@example.org/"
    for secret in (SECRET, PASSWORD, SIGNATURE):
        assert not files_with(mine.work, secret), secret
    mine.derlem("discover", "--set", code=2)
    error = mine.derlem(
        "--set", f"sources.web.homepage=http://u:{PASSWORD}@h/", "--set", "x=1", "run", code=2
    )
    assert PASSWORD not in error.stderr


def test_files_with_urls_and_messages_are_private(project: Callable[..., Any], demo: Path) -> None:
    mine = project([{"name": "s", "adapter": "files", "path": str(demo / "clipart"), "license": "CC0-1.0"}])
    mine.derlem("run")
    mine.derlem("catalog", "compact")
    for name in ("store", "cache", "state", "logs", "catalog.duckdb"):
        mode = stat.S_IMODE((mine.work / name).stat().st_mode)
        assert not mode & 0o077, (name, oct(mode))


def test_an_error_is_json_where_json_was_asked_for(project: Callable[..., Any]) -> None:
    mine = project([{"name": "s", "adapter": "files", "path": "x", "license": "MIT"}])
    for arguments in (["status", "--format", "json"], ["--log-format", "json", "status"]):
        result = mine.derlem(*arguments, code=1)
        assert json.loads(result.stderr)["error"] == "CatalogMissing" and not result.stdout
    result = mine.derlem("sql", "SELEC", "--format", "json", code=1)
    assert json.loads(result.stderr)["exit_code"] == 1
    result = mine.derlem("status", "--format", "json", "--watsh", code=2)
    assert json.loads(result.stderr)["error"] == "NoSuchOption"
    assert mine.derlem("status", code=1).stderr.startswith("Error: there is no catalog")


def test_all_messages_are_json_with_json_logs(project: Callable[..., Any], demo: Path) -> None:
    mine = project([{"name": "s", "adapter": "files", "path": str(demo / "clipart"), "license": "CC0-1.0"}])
    result = mine.derlem("--log-format", "json", "run")
    messages = [json.loads(line)["message"] for line in result.stderr.splitlines()]
    assert any("no `sample:` is configured" in message for message in messages)
