"""A crash, a hang, exhausted memory or a bug in a worker affects only the item that caused the fault."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from pydantic import ValidationError

from derlem.adapters.base import Context
from derlem.adapters.registry import adapter_class
from derlem.catalog.connection import read_catalog
from derlem.catalog.sources import Declared
from derlem.core.workspace import Workspace
from derlem.media.media_options import MediaOptions
from derlem.pipeline.executors.local import WorkerError
from derlem.pipeline.ingest import retry
from derlem.pipeline.ingest_options import MINIMUM_MEMORY, IngestOptions
from derlem.pipeline.run import start_run
from derlem.pipeline.stages import Declarations, checked_listings, run_discover, run_ingest

OPTIONS = IngestOptions(workers=2, segment_items=7)
SHORT_DEADLINE = OPTIONS.model_copy(update={"deadline": 2.0, "batch": 4})
"""Options for hanging items: each step that narrows a task down to one item waits for the deadline."""


def ingest(
    workspace: Workspace, adapter: str, acts: list[str], again: bool = False, limits: IngestOptions = OPTIONS
) -> dict[str, tuple[str, str | None]]:
    """Ingest a source of the acts; return (status, reason) by uri."""
    declaration = {"name": "s", "adapter": adapter, "license": "MIT", "acts": acts}
    source = adapter_class(adapter).Options.model_validate(declaration)
    context = Context(workspace)
    with start_run(workspace, "test", "hash", limits) as work:
        if again:
            retry(["s"], work.store, run=work.run)
        listings = checked_listings([source], context, None)
        declarations = Declarations(context, MediaOptions(), limits)
        run_discover(work, listings, [Declared("s", adapter, "MIT", None, {})], declarations)
        run_ingest(work, [source], declarations)
    with read_catalog(workspace) as connection:
        rows = connection.execute("SELECT uri, status, reason FROM items ORDER BY ordinal").fetchall()
    return {uri: (status, reason) for uri, status, reason in rows}


@pytest.mark.short(7)
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        ("decode_crash", ("rejected", "decoder_crash")),
        ("decode_killed", ("failed", "worker_killed")),
        ("decode_killed_once", ("rejected", "not_image")),  # its bytes, read alone
        ("read_killed", ("failed", "worker_killed")),
        ("decode_hang", ("rejected", "deadline")),
        ("decode_exhaust", ("rejected", "out_of_memory")),
        ("decode_raise", ("failed", "read_error")),
        ("read_crash", ("rejected", "decoder_crash")),
        ("read_hang", ("rejected", "deadline")),
        ("read_raise", ("failed", "read_error")),
        ("drop", ("failed", "read_error")),
        ("fail", ("failed", "timeout")),
    ],
)
def test_a_fault_affects_its_own_item_only(
    workspace: Workspace, faulty: str, fault: str, outcome: tuple[str, str]
) -> None:
    acts = ["ok"] * 20
    acts[11] = fault
    found = ingest(workspace, faulty, acts, limits=SHORT_DEADLINE if fault.endswith("hang") else OPTIONS)
    assert found.pop(f"11-{fault}") == outcome
    assert set(found.values()) == {("ready", None)} and len(found) == 19


def test_terminating_a_worker_affects_no_item(workspace: Workspace, faulty: str) -> None:
    found = ingest(workspace, faulty, ["ok", "ok", "decode_end", "ok"])
    assert found.pop("2-decode_end") == ("rejected", "not_image")  # its bytes, the second time
    assert set(found.values()) == {("ready", None)} and len(found) == 3


def test_many_simultaneous_faults_are_all_recorded(workspace: Workspace, faulty: str) -> None:
    acts = ["ok", "decode_crash", "read_raise", "fail", "decode_raise", "ok", "drop", "read_crash"] * 4
    found = ingest(workspace, faulty, acts)
    assert len(found) == len(acts)
    for uri, (status, _) in found.items():
        assert (status == "ready") is uri.endswith("ok"), uri


@pytest.mark.parametrize("fault", ["decode_raise", "read_raise"])
def test_a_repeated_error_is_not_attributed_to_items(workspace: Workspace, faulty: str, fault: str) -> None:
    with pytest.raises(WorkerError, match=r"in a row .* RuntimeError: a bug in an adapter"):
        ingest(workspace, faulty, ["ok"] * 100 + [fault] * 2000)
    with read_catalog(workspace) as connection:
        rows = connection.execute("SELECT status, count(*) FROM items GROUP BY status").fetchall()
    assert dict(rows)["ready"] == 100
    assert dict(rows)["discovered"] >= 1900


def test_retry_requeues_failed_items_and_no_rejected_items(workspace: Workspace, faulty: str) -> None:
    acts = ["ok", "fail", "decode_crash"]
    ingest(workspace, faulty, acts)
    ingest(workspace, faulty, acts, again=True)
    with read_catalog(workspace) as connection:
        attempts = connection.execute("SELECT uri, attempts FROM items ORDER BY uri").fetchall()
    assert attempts == [("0-ok", 1), ("1-fail", 2), ("2-decode_crash", 1)]


def test_metadata_from_reading_is_kept(workspace: Workspace, faulty: str) -> None:
    ingest(workspace, faulty, ["ok", "fail"])
    with read_catalog(workspace) as connection:
        rows = connection.execute("SELECT caption, meta, detail FROM items ORDER BY uri").fetchall()
    assert rows[0][0] == "é" and json.loads(rows[0][1])["seen"] == "0"
    assert json.loads(rows[1][1])["evidence"] == 1 and rows[1][2] == "too slow"


def test_the_memory_limit_applies_to_items_only(workspace: Workspace, faulty: str) -> None:
    """The limit excludes mapped libraries, which take more than a GiB of address space."""
    limits = OPTIONS.model_copy(update={"memory_limit": MINIMUM_MEMORY})
    assert set(ingest(workspace, faulty, ["ok"] * 20, limits=limits).values()) == {("ready", None)}


def test_a_memory_limit_below_the_minimum_is_rejected() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 268435456"):
        IngestOptions.model_validate({"memory_limit": "255MiB"})


LIMITED = """
import resource, sys
from derlem.pipeline.executors.local_worker import limit_memory, mapped

left = int(sys.argv[1]) * 2**20
size = mapped() + left
resource.setrlimit(resource.RLIMIT_AS, (size, size))
print(limit_memory(4 * 2**30))
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
print(soft <= hard == size)
"""


@pytest.mark.parametrize(
    ("left", "printed"), [(512, "None"), (100, r"the system limits a process to \d+ MiB .*\(ulimit -v\)")]
)
def test_the_system_s_limit_of_address_space_is_respected(left: int, printed: str) -> None:
    """A worker uses memory up to the system's limit; too small a limit gives an error with the numbers."""
    done = subprocess.run([sys.executable, "-c", LIMITED, str(left)], capture_output=True, text=True)
    first, second = done.stdout.splitlines()
    assert re.match(printed, first) and second == "True", done.stderr
