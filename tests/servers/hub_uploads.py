"""The uploading half of the hub's replica: new repositories, large files by hash, commits.

Large files are uploaded by the git LFS protocol, without Xet: tests set HF_HUB_DISABLE_XET.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub import Hub

Answer = tuple[int, bytes, dict[str, str]]

LARGE = (".tar", ".parquet")
"""Files that the hub holds by hash, as in its default `.gitattributes`."""


@dataclass
class Uploads:
    """Large files by hash, and what was asked: sizes of transfers by hash, in order, and the commits' titles.

    `after_put` is called with the number of transfers, when the last one is kept and not yet answered. Files
    of `ignored` are left out of commits, as by a `.gitignore`.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    transfers: list[tuple[str, int]] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)
    after_put: Callable[[int], None] = lambda done: None
    ignored: set[str] = field(default_factory=set)


def route(hub: Hub, method: str, path: str, body: bytes) -> Answer | None:
    """The answer to a request of an upload; None for other requests."""
    uploads = hub.uploads
    if method == "PUT" and (match := re.fullmatch(r"/lfs/([0-9a-f]{64})", path)):
        uploads.transfers.append((match[1], len(body)))
        if hashlib.sha256(body).hexdigest() != match[1]:
            return _answer({"error": "other bytes"}, 422)
        uploads.objects[match[1]] = body
        uploads.after_put(len(uploads.transfers))
        return 200, b"", {}
    if method != "POST":
        return None
    if path == "/api/repos/create":
        return _create(hub, json.loads(body))
    if path == "/api/validate-yaml":
        return _answer({"errors": [], "warnings": []})
    if match := re.fullmatch(r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
        return _answer({"objects": [_transfer(hub, wanted) for wanted in json.loads(body)["objects"]]})
    if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/preupload/([^/]+)", path):
        files = _files(hub, match[1])
        return _answer({"files": [_mode(hub, files, asked) for asked in json.loads(body)["files"]]})
    if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/commit/([^/]+)", path):
        return _commit(hub, match[1], [json.loads(line) for line in body.splitlines()])
    return None


def _answer(value: Any, status: int = 200) -> Answer:
    return status, json.dumps(value).encode(), {"Content-Type": "application/json"}


def _create(hub: Hub, asked: dict[str, Any]) -> Answer:
    name = f"{asked['organization']}/{asked['name']}"
    url = {"url": f"{hub.url}/datasets/{name}"}
    if name in hub.repositories:
        return _answer(url | {"error": "You already created this dataset repo"}, 409)
    hub.add_commit(name, {".gitattributes": b"*.tar filter=lfs\n*.parquet filter=lfs\n"})
    hub.repositories[name].private = asked.get("visibility") == "private"
    return _answer(url)


def _files(hub: Hub, repository: str) -> dict[str, bytes]:
    found = hub.repositories[repository]
    return found.commits[found.branches["main"]]


def _mode(hub: Hub, files: dict[str, bytes], asked: dict[str, Any]) -> dict[str, Any]:
    path = asked["path"]
    found: dict[str, Any] = {
        "path": path,
        "uploadMode": "lfs" if path.endswith(LARGE) else "regular",
        "shouldIgnore": path in hub.uploads.ignored,
    }
    if path in files:
        data = files[path]
        large = path.endswith(LARGE)
        git = hashlib.sha1(b"blob %d\0" % len(data) + data)
        found["oid"] = hashlib.sha256(data).hexdigest() if large else git.hexdigest()
    return found


def _transfer(hub: Hub, wanted: dict[str, Any]) -> dict[str, Any]:
    """What is to be done for a large file: nothing, where the hub has its bytes."""
    if wanted["oid"] in hub.uploads.objects:
        return wanted
    return wanted | {"actions": {"upload": {"href": f"{hub.url}/lfs/{wanted['oid']}"}}}


def _commit(hub: Hub, repository: str, lines: list[dict[str, Any]]) -> Answer:
    with hub.lock:
        files = dict(_files(hub, repository))
        head = hub.repositories[repository].branches["main"]
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                if value.get("parentCommit", head) != head:
                    return _answer({"error": "the branch has moved"}, 412)
                hub.uploads.commits.append(value["summary"])
            elif line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = hub.uploads.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            else:
                return _answer({"error": f"unknown operation {line['key']}"}, 400)
        token = hub.repositories[repository].token
        commit = hub.add_commit(repository, files, token=token)
    url = f"{hub.url}/datasets/{repository}/commit/{commit}"
    return _answer({"commitUrl": url, "commitOid": commit, "pullRequestUrl": None})
