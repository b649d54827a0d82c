"""A build of a redrawn manifest that is killed at each of its steps: the next one ends in the same shards."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from derlem.catalog.connection import transaction, write_catalog
from tests.factories.catalog import store_manifest
from tests.factories.filled_workspace import FilledWorkspace

SCRIPT = """
import json, os, shutil, signal, sys
from pathlib import Path
import derlem.corpus.build as building
from derlem.core.workspace import Workspace
from derlem.corpus.corpus_options import CorpusOptions

template, copy, format, every = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def build():
    options = CorpusOptions.model_validate({"format": format, "shard_size": "60KB"})
    result = building.build_corpus(Workspace(copy), "small", options, "run-4", 1, lambda *_: None)
    return [[shard.number, shard.first, shard.last, shard.sha256] for shard in result.shards]

folders = (str(copy / "corpora" / "small"), str(copy / "corpora" / ".small.build"))

def kill_at(wanted):
    steps = 0

    def step(*_):
        nonlocal steps
        steps += 1
        if steps == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event, arguments):  # before a rename, and after it, when the folder is flushed
        if event == "os.rename" or event == "open" and arguments[0] in folders:
            step()

    record = building.record_shards

    def recording(*arguments):
        step()
        record(*arguments)
        step()

    building.record_shards = recording
    sys.addaudithook(hook)

def child(work):
    reader, writer = os.pipe()
    if not (pid := os.fork()):
        os.close(reader)
        with os.fdopen(writer, "w") as out:
            out.write(json.dumps(work()))
            out.flush()
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as found:
        text = found.read()
    _, status = os.waitpid(pid, 0)
    return json.loads(text) if status == 0 else status

def disturbed(number):
    kill_at(number)
    return build()

number = 0
while True:
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(template, copy)
    first = child(lambda: disturbed(number)) if number else None
    print(json.dumps([number, first, child(build)]), flush=True)
    if isinstance(first, list):
        break
    number += every
"""


def test_a_build_killed_at_any_step_gives_the_same_shards(
    built: FilledWorkspace, tmp_path: Path, repeats: Callable[[int, int], int]
) -> None:
    every = repeats(3, 1)
    boundaries = built.ask("SELECT first, last FROM shards ORDER BY shard")
    rows = built.ask(
        "SELECT item_id, repeat FROM manifest_items JOIN items USING (item_id)"
        " ORDER BY bytes, item_id, repeat"
    )
    with write_catalog(built.workspace) as connection, transaction(connection):
        store_manifest(connection, "small", rows, seed=8)  # the same samples in another order
    script = tmp_path / "kills.py"
    script.write_text(SCRIPT)
    run = [
        sys.executable,
        str(script),
        str(built.workspace.root),
        str(tmp_path / "copy"),
        "webdataset",
        str(every),
    ]
    output = subprocess.run(run, check=True, capture_output=True, text=True, timeout=300).stdout
    (_, _, undisturbed), *killed, (steps, last, _) = map(json.loads, output.splitlines())

    assert [(first, end) for _, first, end, _ in undisturbed] != boundaries
    assert last == undisturbed
    assert len(killed) + 1 == steps // every and steps > 10
    assert {status for _, status, _ in killed} == {9}
    assert [number for number, _, shards in killed if shards != undisturbed] == []
