"""Datasets on the hub: pinned commits, caches, ranges, rate limits, tokens."""

from __future__ import annotations

import email.utils
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

COLUMNS = {"image": "image", "caption": "caption", "category": "label"}


FOOTER = 2**16
"""Bytes that the Parquet reader reads at the end of a file."""


def kept(process: Any, name: str) -> list[Path]:
    """Data files of a repository in the process's cache."""
    folder = process.home / "hub" / f"datasets--{name.replace('/', '--')}" / "snapshots"
    return [path for path in folder.rglob("*") if path.suffix in (".parquet", ".tar")]


def _limits(path: str) -> bool:
    return "/resolve/" in path and path.endswith(".parquet")


@pytest.fixture
def repository(hub: Any, request: pytest.FixtureRequest, shapes: dict[str, Path]) -> tuple[str, str]:
    """A repository of the test's own, with the Parquet shape as its only commit: (id, commit)."""
    name = f"org/{request.node.name.replace('[', '-').replace(']', '')[:80]}"
    return name, hub.commit(name, shapes["parquet"])


def test_a_branch_is_resolved_recorded_and_read_as_it_was(
    hub: Any, repository: tuple[str, str], elsewhere: Any, shapes: dict[str, Path], tmp_path: Path
) -> None:
    name, first = repository
    listed = elsewhere.run(name, columns=COLUMNS, revision="main", read=False)["items"]
    assert {item["meta"]["revision"] for item in listed} == {first}
    changed = tmp_path / "changed"
    shutil.copytree(shapes["parquet"], changed)
    shard = changed / "data" / "train-00000-of-00002.parquet"
    shutil.copy(changed / "data" / "train-00001-of-00002.parquet", shard)
    second = hub.commit(name, changed)
    # Items listed at the first commit are read at the first commit.
    answer = elsewhere.run(name, columns=COLUMNS, revision="main", items=listed)
    assert set(map(len, answer["results"].values())) == {64}
    assert hub.seen(file=shard.relative_to(changed).as_posix())[-1].path.split("/")[-3] == first
    # A new listing has new items for the changed file, and the known ones for the other.
    again = elsewhere.run(name, columns=COLUMNS, revision="main")
    assert {item["meta"]["revision"] for item in again["items"]} == {second}
    known = {item["item_id"] for item in listed}
    assert {item["uri"].split("@")[0] for item in again["items"] if item["item_id"] in known} == {
        "data/train-00001-of-00002.parquet"
    }
    # A pinned commit does not change.
    pinned = elsewhere.run(name, columns=COLUMNS, revision=first)
    assert {item["item_id"] for item in pinned["items"]} == known
    assert pinned["results"] == answer["results"]


def test_a_second_run_fetches_nothing(hub: Any, repository: tuple[str, str], elsewhere: Any) -> None:
    name, _ = repository
    first = elsewhere.run(name, columns=COLUMNS)
    files = {request.file for request in hub.seen() if name in request.path and not request.range}
    assert files == {f"data/train-0000{shard}-of-00002.parquet" for shard in range(2)}
    before = len(hub.requests)
    assert elsewhere.run(name, columns=COLUMNS) == first
    assert hub.seen(since=before) == []
    # Listed items need no request to the hub.
    before = len(hub.requests)
    assert elsewhere.run(name, columns=COLUMNS, items=first["items"])["results"] == first["results"]
    assert hub.requests[before:] == []


def test_listing_does_not_fetch_images(
    hub: Any, repository: tuple[str, str], elsewhere: Any, shapes: dict[str, Path]
) -> None:
    name, _ = repository
    listed = elsewhere.run(name, columns=COLUMNS, read=False)["items"]
    assert all(item["caption"] for item in listed) and len(listed) == 40
    sent = sum(request.sent for request in hub.seen() if name in request.path)
    whole = sum(path.stat().st_size for path in shapes["parquet"].rglob("*.parquet"))
    assert sent < 2 * FOOTER + whole // 10


def test_streaming_reads_only_requested_row_groups_and_stores_nothing(
    hub: Any, repository: tuple[str, str], elsewhere: Any, shapes: dict[str, Path]
) -> None:
    name, _ = repository
    listed = elsewhere.run(name, columns=COLUMNS, read=False, streaming=True)["items"]
    # Resumed in the middle: rows 0 to 15 of the first file are two finished row groups.
    left = [item for item in listed if "00000-of" in item["uri"]][16:]
    assert {item["partition_key"].partition("#")[2] for item in left} == {"000002"}
    before = len(hub.requests)
    answer = elsewhere.run(name, columns=COLUMNS, streaming=True, items=left)
    assert set(map(len, answer["results"].values())) == {64}
    shard = shapes["parquet"] / "data" / "train-00000-of-00002.parquet"
    column = pq.ParquetFile(shard).metadata.row_group(2).column(0)
    needed = min(column.dictionary_page_offset or column.data_page_offset, shard.stat().st_size - FOOTER)
    requests = hub.seen(since=before)
    assert requests and all(int(re.findall(r"\d+", request.range)[0]) >= needed for request in requests)
    assert not kept(elsewhere, name)


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "2"},
        {"RateLimit": '"resolvers";r=0;t=2', "RateLimit-Policy": '"fixed window";"resolvers";q=3000;w=300'},
        {"Retry-After": "date"},
    ],
    ids=["seconds", "ratelimit", "date"],
)
def test_rate_limits_pause_requests(
    headers: dict[str, str], hub: Any, repository: tuple[str, str], elsewhere: Any
) -> None:
    name, _ = repository
    listed = elsewhere.run(name, columns=COLUMNS, read=False)["items"]
    if headers.get("Retry-After") == "date":
        headers = {"Retry-After": email.utils.formatdate(time.time() + 3, usegmt=True)}
    before = len(hub.requests)
    hub.limit(lambda path: name in path and _limits(path), headers, times=1)
    answer = elsewhere.run(name, columns=COLUMNS, items=listed)
    assert set(map(len, answer["results"].values())) == {64}
    requests = [
        request for request in hub.requests[before:] if name in request.path and _limits(request.path)
    ]
    refused = next(at for at, request in enumerate(requests) if request.status == 429)
    assert requests[refused + 1].at - requests[refused].at >= 1.9
    assert sum(request.status == 429 for request in requests) == 1


def test_rate_limits_of_every_kind_of_request(hub: Any, repository: tuple[str, str], elsewhere: Any) -> None:
    """Repository info, trees, the card, ranges: the first requests of each kind get 429 a few times."""
    name, _ = repository
    for part in ("/revision/", "/tree/", "README.md", ".parquet"):
        hub.limit(lambda path, part=part: name in path and part in path, {"Retry-After": "0"}, times=2)
    answer = elsewhere.run(name, columns=COLUMNS)
    assert set(map(len, answer["results"].values())) == {64}
    refused = [request for request in hub.requests if name in request.path and request.status == 429]
    assert len(refused) >= 6


def test_the_token_comes_from_the_environment_and_is_never_shown(
    hub: Any, shapes: dict[str, Path], another: Callable[..., Any]
) -> None:
    secret = "hf_abcdefghijklmnopqrstuvwxyzABCDEF"
    hub.commit("org/private", shapes["parquet"], token=secret)
    knowing = another(HF_TOKEN=secret, HF_DEBUG="1")
    answer = knowing.run("org/private", columns=COLUMNS)
    assert set(map(len, answer["results"].values())) == {64}
    assert secret not in str(answer)
    assert knowing.run("org/private", columns=COLUMNS, revision="nowhere")["error"] == "ConfigError"
    assert secret not in knowing.log.read_text()
    assert secret not in "".join(
        path.read_text("utf-8", "replace")
        for path in knowing.home.rglob("*")
        if path.suffix in (".json", ".lock")
    )
    ignorant = another()
    (ignorant.home).mkdir(exist_ok=True)
    (ignorant.home / "token").write_text(secret)  # the file of `hf auth login`, which is not read
    before = len(hub.requests)
    answer = ignorant.run("org/private", columns=COLUMNS)
    assert answer["error"] == "ConfigError" and "HF_TOKEN" in answer["message"]
    assert not any(request.authorized for request in hub.requests[before:])


def test_missing_repositories_and_files_are_errors(
    hub: Any, repository: tuple[str, str], elsewhere: Any
) -> None:
    name, _ = repository
    answer = elsewhere.run("org/nothing", columns=COLUMNS)
    assert (answer["error"], answer["key"]) == ("ConfigError", "dataset")
    assert "./path" in answer["message"]
    answer = elsewhere.run(name, revision="nowhere")
    assert (answer["error"], answer["key"]) == ("ConfigError", "revision")
    answer = elsewhere.run(name, split="validation")
    assert (answer["error"], answer["key"]) == ("ConfigError", "split")
    assert "train" in answer["message"]
    answer = elsewhere.run(name, config="other")
    assert (answer["error"], answer["key"]) == ("ConfigError", "config")


def test_a_file_deleted_from_the_hub_fails_only_its_items(
    hub: Any, repository: tuple[str, str], elsewhere: Any
) -> None:
    name, commit = repository
    listed = elsewhere.run(name, columns=COLUMNS, read=False)["items"]
    files = hub.repositories[name].commits[commit]
    hub.repositories[name].commits[commit] = {
        path: data for path, data in files.items() if "00000-of" not in path
    }
    results = elsewhere.run(name, columns=COLUMNS, items=listed)["results"]
    outcomes = [results[item["item_id"]].partition(":")[0] for item in listed]
    assert outcomes[:20] == ["missing"] * 20
    assert {len(outcome) for outcome in outcomes[20:]} == {64}


@pytest.mark.parametrize("shape", ["imagefolder", "webdataset", "arrow"])
def test_other_shapes_on_the_hub(
    shape: str, hub: Any, shapes: dict[str, Path], elsewhere: Any, use: Callable[..., Any]
) -> None:
    hub.commit(f"org/{shape}", shapes[shape])
    inside = "json." if shape == "webdataset" else ""
    columns = {"caption": f"{inside}caption", "category": f"{inside}label"}
    answer = elsewhere.run(f"org/{shape}", columns=columns)
    local = use(dataset=shapes[shape], columns=columns)
    items = local.items()
    there = sorted((item["caption"], item["category"], item["locator"]) for item in answer["items"])
    assert there == sorted((item.caption, item.category, item.locator) for item in items)
    assert set(map(len, answer["results"].values())) == {64}
    before = len(hub.requests)
    assert elsewhere.run(f"org/{shape}", columns=columns) == answer
    assert hub.seen(since=before) == []


def test_streaming_a_tar(hub: Any, shapes: dict[str, Path], elsewhere: Any) -> None:
    hub.commit("org/streamed", shapes["webdataset"])
    columns = {"caption": "json.caption"}
    streamed = elsewhere.run("org/streamed", columns=columns, streaming=True)
    assert not kept(elsewhere, "org/streamed")
    whole = elsewhere.run("org/streamed", columns=columns)
    assert len(kept(elsewhere, "org/streamed")) == 2
    assert streamed["results"] == whole["results"] and set(map(len, whole["results"].values())) == {64}
