"""A run that is killed while reading from the hub resumes and reads no item twice."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
import yaml

ROWS = 40
"""Items of the dataset: a row is a record of one or several images."""


@pytest.fixture
def paced(hub: Any) -> Iterator[Any]:
    """The hub, slow enough to be interrupted."""
    hub.delay = lambda path: 0.15 if "/resolve/" in path and path.endswith(".parquet") else 0.0
    yield hub
    hub.delay = lambda path: 0.0


def _start(config: Path, endpoint: str) -> subprocess.Popen[bytes]:
    known = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    return subprocess.Popen(
        [sys.executable, "-m", "derlem", "-c", str(config), "run"],
        env=known | {"HF_ENDPOINT": endpoint, "HF_HOME": str(config.parent / "hf-home")},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=(config.parent / "stderr.log").open("ab"),
    )


def _settled(work: Path) -> Counter[str]:
    """Ready items by partition key in the segments that are finished."""
    found: Counter[str] = Counter()
    for path in (work / "store" / "hosted").glob("*.parquet"):
        table = pq.read_table(path, columns=["partition_key", "status"])
        found.update(row["partition_key"] for row in table.to_pylist() if row["status"] == "ready")
    return found


@pytest.mark.short(1)
@pytest.mark.parametrize("streaming", [True, False], ids=["row-groups", "files"])
def test_a_killed_run_resumes(streaming: bool, paced: Any, shapes: dict[str, Path], tmp_path: Path) -> None:
    name = f"org/killed-{streaming}"
    paced.commit(name, shapes["parquet"])
    source = {
        "name": "hosted",
        "adapter": "huggingface",
        "dataset": name,
        "streaming": streaming,
        "license": "CC0-1.0",
        "columns": {"caption": "caption", "category": "label"},
    }
    config = tmp_path / "derlem.yaml"
    ingest = {"workers": 1, "batch": 1, "commit_seconds": 0.2}
    config.write_text(yaml.safe_dump({"workspace": "work", "sources": [source], "ingest": ingest}))
    process = _start(config, paced.url)
    deadline = time.monotonic() + 60
    begun = 2 if streaming else 1  # partition keys: one worker ends each before the next
    while len(_settled(tmp_path / "work")) < begun and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = _settled(tmp_path / "work")
    assert done and done.total() < ROWS, (tmp_path / "stderr.log").read_text()[-2000:]

    paced.delay = lambda path: 0.0
    before = len(paced.requests)
    assert _start(config, paced.url).wait(60) == 0, (tmp_path / "stderr.log").read_text()[-2000:]
    with duckdb.connect(str(tmp_path / "work" / "catalog.duckdb"), read_only=True) as catalog:
        rows = catalog.execute("SELECT status, partition_key, count(*) FROM items GROUP BY ALL").fetchall()
    assert {row[0] for row in rows} == {"ready"} and sum(row[2] for row in rows) == ROWS
    whole = {partition_key: count for _, partition_key, count in rows}
    finished = [partition_key for partition_key, count in done.items() if count == whole[partition_key]]
    if streaming:
        assert finished
        for partition_key in finished:
            _assert_untouched(partition_key, paced.seen(since=before), shapes["parquet"])
    else:
        fetched = Counter(r.file for r in paced.seen() if name in r.path and not r.range)
        assert set(fetched.values()) <= {1, 2} and 1 in fetched.values()
        for partition_key in done:
            assert fetched[partition_key.partition("@")[0]] == 1
    assert json.loads((config.parent / "work" / "state" / "current.json").read_text())


def _assert_untouched(partition_key: str, requests: list[Any], root: Path) -> None:
    """No requested range overlaps the images of a row group."""
    file = partition_key.partition("@")[0]
    group = pq.ParquetFile(root / file).metadata.row_group(int(partition_key.partition("#")[2]))
    column = next(
        group.column(at)
        for at in range(group.num_columns)
        if group.column(at).path_in_schema == "image.bytes"
    )
    start = column.dictionary_page_offset or column.data_page_offset
    stop = start + column.total_compressed_size
    footer = (root / file).stat().st_size - 2**16
    for request in requests:
        first, last = map(int, re.findall(r"\d+", request.range))
        assert request.file != file or first >= footer or last < start or first >= stop
