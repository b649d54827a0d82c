"""A replica of the Hugging Face hub's HTTP interface on loopback, selected by HF_ENDPOINT.

The server serves dataset repositories from folders: repository info, file trees, paths-info, and `resolve`
with the hub's headers and ranges, from commits, branches and private repositories. Tests can request 429
answers. Every request is recorded. Uploads are in `hub_uploads.py`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import hub_uploads


@dataclass(frozen=True)
class Request:
    """A recorded request; `sent` counts the bytes of the answer's body."""

    at: float
    method: str
    path: str
    range: str
    authorized: bool
    status: int
    sent: int

    @property
    def file(self) -> str:
        """The file of a `resolve` request, else ''."""
        return self.path.partition("/resolve/")[2].partition("/")[2]


@dataclass
class Limit:
    """A rate limit: the next `times` requests that match get 429 with `headers`."""

    matches: Callable[[str], bool]
    headers: dict[str, str]
    times: int


@dataclass
class Repository:
    """Commits by hash (a folder each) and branches."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    token: str = ""
    private: bool = False


class Hub:
    """The server. Use as `with serving() as hub`."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.limits: list[Limit] = []
        self.delay: Callable[[str], float] = lambda path: 0.0
        self.uploads = hub_uploads.Uploads()
        self.lock = threading.RLock()
        hub = self

        class Handler(_Handler):
            server_hub = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        """The value of HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server.server_port}"

    def commit(self, repository: str, folder: Path, branch: str = "main", token: str = "") -> str:
        """Push a folder as the next commit of a branch; returns the commit's hash."""
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }
        return self.add_commit(repository, files, branch, token)

    def add_commit(
        self, repository: str, files: dict[str, bytes], branch: str = "main", token: str = ""
    ) -> str:
        """Make files the next commit of a branch; returns the commit's hash."""
        repo = self.repositories.setdefault(repository, Repository())
        text = json.dumps([repository, len(repo.commits), [[n, _git_id(data)] for n, data in files.items()]])
        name = hashlib.sha1(text.encode()).hexdigest()
        repo.commits[name] = files
        repo.branches[branch] = name
        repo.token = token
        return name

    def limit(self, matches: Callable[[str], bool], headers: dict[str, str], times: int = 1) -> None:
        """Answer the next `times` matching requests (by path) with 429."""
        self.limits.append(Limit(matches, headers, times))

    def seen(self, *, file: str = "", method: str = "GET", since: int = 0) -> list[Request]:
        """Recorded `resolve` requests for a file (default: for any data file), from index `since`."""
        return [
            request
            for request in self.requests[since:]
            if request.method == method
            and (
                request.file == file
                if file
                else request.file.endswith((".parquet", ".arrow", ".tar", ".png"))
            )
        ]


@contextmanager
def serving() -> Iterator[Hub]:
    """A running hub on a free port, stopped at the end."""
    hub = Hub()
    thread = threading.Thread(target=hub.server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()


def _git_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _is_lfs(path: str) -> bool:
    return path.endswith((".parquet", ".arrow", ".tar", ".zip"))


class _Refused(Exception):
    def __init__(self, status: int, code: str) -> None:
        self.status, self.code = status, code


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_hub: Hub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        url = urlsplit(self.path)
        path = unquote(url.path)
        time.sleep(self.server_hub.delay(path))
        with self.server_hub.lock:
            for limit in self.server_hub.limits:
                if limit.times and limit.matches(path):
                    limit.times -= 1
                    self._send(path, 429, b"slow down", limit.headers)
                    return
        try:
            found = hub_uploads.route(self.server_hub, self.command, path, body)
            if found is not None:
                status, answer, headers = found
            elif self.command == "PUT":
                raise _Refused(404, "EntryNotFound")
            else:
                form = parse_qs(body.decode())
                status, answer, headers = self._route(path, parse_qs(url.query), form)
        except _Refused as refused:
            status, answer, headers = (
                refused.status,
                b"{}",
                {"X-Error-Code": refused.code},
            )
        self._send(path, status, answer, headers)

    def _send(self, path: str, status: int, body: bytes, headers: dict[str, str]) -> None:
        # The request is recorded before its answer is sent, so that a client can find its own request.
        with self.server_hub.lock:
            self.server_hub.requests.append(
                Request(
                    time.monotonic(),
                    self.command,
                    path,
                    self.headers.get("range", ""),
                    "authorization" in self.headers,
                    status,
                    0 if self.command == "HEAD" else len(body),
                )
            )
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _route(
        self, path: str, query: dict[str, list[str]], form: dict[str, list[str]]
    ) -> tuple[int, bytes, dict[str, str]]:
        if match := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve(*match.groups())
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/(tree|paths-info)/([^/]+)/?(.*)", path):
            name, kind, revision, folder = match.groups()
            commit, files = self._files(name, revision)
            if kind == "tree":
                entries = _tree(files, folder, recursive=query.get("recursive", [""])[0].lower() == "true")
                if folder and not entries:
                    raise _Refused(404, "EntryNotFound")
            else:
                entries = [
                    entry
                    for requested in form.get("paths", [])
                    for entry in _tree(files, "", recursive=True)
                    if entry["path"] == requested.strip("/")
                ]
            return 200, json.dumps(entries).encode(), {"Content-Type": "application/json"}
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            commit, files = self._files(match[1], match[2] or "main")
            info = {
                "id": match[1],
                "sha": commit,
                "private": self.server_hub.repositories[match[1]].private,
                "tags": [],
                "downloads": 0,
                "siblings": [{"rfilename": file} for file in files],
            }
            return 200, json.dumps(info).encode(), {"Content-Type": "application/json"}
        raise _Refused(404, "RepoNotFound")

    def _files(self, name: str, revision: str) -> tuple[str, dict[str, bytes]]:
        repository = self.server_hub.repositories.get(name)
        given = self.headers.get("authorization", "").removeprefix("Bearer ")
        if repository is None or (repository.token and given != repository.token):
            raise _Refused(401, "RepoNotFound")
        commit = repository.branches.get(revision, revision)
        if commit not in repository.commits:
            raise _Refused(404, "RevisionNotFound")
        return commit, repository.commits[commit]

    def _resolve(self, name: str, revision: str, file: str) -> tuple[int, bytes, dict[str, str]]:
        commit, files = self._files(name, revision)
        if file not in files:
            raise _Refused(404, "EntryNotFound")
        data = files[file]
        etag = hashlib.sha256(data).hexdigest() if _is_lfs(file) else _git_id(data)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if _is_lfs(file):
            headers |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(data))}
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("range", "")):
            first, last = int(match[1]), min(int(match[2] or len(data) - 1), len(data) - 1)
            if first >= len(data):
                return 416, b"", {"Content-Range": f"bytes */{len(data)}"}
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            return 206, data[first : last + 1], headers
        return 200, data, headers


def _tree(files: dict[str, bytes], folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """Entries below a folder as the tree endpoint lists them."""
    prefix = f"{folder}/" if folder else ""
    entries: dict[str, dict[str, Any]] = {}
    for path, data in files.items():
        if not path.startswith(prefix):
            continue
        steps = path.removeprefix(prefix).split("/")
        for depth in range(1, len(steps) if recursive else min(2, len(steps))):
            parent = prefix + "/".join(steps[:depth])
            entries[parent] = {
                "type": "directory",
                "oid": _git_id(parent.encode()),
                "size": 0,
                "path": parent,
            }
        if recursive or len(steps) == 1:
            entry: dict[str, Any] = {"type": "file", "oid": _git_id(data), "size": len(data), "path": path}
            if _is_lfs(path):
                entry["lfs"] = {
                    "oid": hashlib.sha256(data).hexdigest(),
                    "size": len(data),
                    "pointerSize": 134,
                }
            entries[path] = entry
    return sorted(entries.values(), key=lambda entry: str(entry["path"]))
