"""A workspace and its copy: what is committed comes back on another machine, what was taken down does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from s3_proxy import Proxy

import derlem
from derlem.core.errors import ConfigError
from derlem.storage.bucket import Bucket
from derlem.storage.puller import Detached, Diverged
from derlem.storage.transfer import DamagedObject
from tests.factories.machines import Machines, item_rows, shard_hashes, store_hashes


def objects(bucket: Bucket) -> dict[str, str]:
    """Name and ETag of every object but the lease."""
    return {each.name: each.etag for each in bucket.list() if each.name != "lease.json"}


def everything(bucket: Bucket) -> Iterator[bytes]:
    for each in bucket.list():
        found = bucket.read(each.name)
        assert found is not None
        yield found.data


def test_another_machine_gets_the_same(first: derlem.Project, machines: Machines) -> None:
    other = machines.project("b")
    pulled = other.sync_pull()
    assert pulled.files == len(store_hashes(first.workspace)) and pulled.snapshot_commit is not None
    assert store_hashes(other.workspace) == store_hashes(first.workspace)
    assert item_rows(other.workspace) == item_rows(first.workspace)
    assert not other.sample().changed
    other.build()
    assert shard_hashes(other.workspace) == shard_hashes(first.workspace)
    assert other.catalog.rebuild().items == len(item_rows(first.workspace))


def test_a_command_on_a_fresh_machine_pulls_first(first: derlem.Project, machines: Machines) -> None:
    other = machines.project("b", corpora=True)
    assert not other.sample().changed
    other.build()
    assert shard_hashes(other.workspace) == shard_hashes(first.workspace)
    first.retry()  # the first machine takes over again
    status = first.sync_status()
    assert (status.held, status.local_only, status.remote_only) == (status.commit, (), ())


def test_without_a_copy_of_the_catalog(first: derlem.Project, machines: Machines, bucket: Bucket) -> None:
    """Segments, provenance and states alone give the catalog."""
    latest = json.loads(next(data for name, data in named(bucket) if name == "latest.json"))
    bucket.delete(snapshot["name"] for snapshot in latest["snapshots"])
    bucket.write("latest.json", json.dumps({**latest, "snapshots": []}).encode())
    other = machines.project("b")
    assert other.sync_pull().snapshot_commit is None
    assert item_rows(other.workspace) == item_rows(first.workspace)
    assert other.rows("SELECT source, config_hash, listed_hash FROM sources") == first.rows(
        "SELECT source, config_hash, listed_hash FROM sources"
    )
    assert shard_hashes(other.workspace) == []
    other.sample()
    other.build()
    assert shard_hashes(other.workspace) == shard_hashes(first.workspace)


def named(bucket: Bucket) -> Iterator[tuple[str, bytes]]:
    for each in bucket.list():
        found = bucket.read(each.name)
        assert found is not None
        yield each.name, found.data


def test_a_purge_reaches_the_copy(first: derlem.Project, machines: Machines, bucket: Bucket) -> None:
    [item] = first.items(status="ready", where="caption IS NOT NULL", limit=1)
    tar = first.workspace.segment_tar(item.segment or "").read_bytes()
    [(offset, length)] = first.rows(f"SELECT \"offset\", length FROM items WHERE item_id = '{item.item_id}'")[
        1
    ]
    data = tar[offset : offset + length]
    caption = str(item.caption)
    assert any(data in each for each in everything(bucket))
    first.withdraw(key=item.item_id, purge=True)
    assert not any(data in each for each in everything(bucket)), "no object holds the image"
    rows = [each for each in bucket.list() if each.name.endswith(".parquet")]
    for each in rows:
        path = machines.folder / "rows.parquet"
        found = bucket.read(each.name)
        assert found is not None
        path.write_bytes(found.data)
        texts = pq.read_table(path, columns=["item_id", "caption"]).to_pylist()
        assert caption not in [row["caption"] for row in texts if row["item_id"] == item.item_id]
    other = machines.project("b")
    other.sync_pull()
    [withdrawn] = other.items(where=f"item_id = '{item.item_id}'")
    assert withdrawn.status == "withdrawn" and withdrawn.caption is None
    other.build()
    assert not other.audit().failed
    assert shard_hashes(other.workspace) == shard_hashes(first.workspace)


def test_earlier_states(
    first: derlem.Project, machines: Machines, repeats: Callable[[int, int], int]
) -> None:
    """Restored to earlier runs, the workspace draws their samples; takedowns since then hold."""
    states: list[tuple[str, str | None]] = []
    for _ in range(repeats(1, 3)):
        [item] = first.items(where="item_id IN (SELECT item_id FROM manifest)", limit=1)
        first.withdraw(key=item.item_id)
        drawn = first.sample()
        run = first.status().run
        assert run is not None
        states.append((run.run, drawn.fingerprint))
    at = first.sync_status().pushed_at
    for number, (run_id, _) in enumerate(states):
        restored = machines.project(f"at{number}")
        assert restored.sync_pull(at=run_id).restored == f"run {run_id}"
        with pytest.raises(Detached):
            restored.retry()
        assert machines.detached(f"at{number}").sample().fingerprint == states[-1][1], "withdrawals hold"
    assert restored.sync_pull(discard=True).restored is None
    restored.retry()
    assert at is not None
    assert 0 < machines.project("time").sync_pull(at=at.isoformat()).commit < first.sync_status().commit
    for wrong in ("yesterday", "2001-01-01T00:00"):
        with pytest.raises(ConfigError, match="--at"):
            machines.project("wrong").sync_pull(at=wrong)


def test_a_copy_that_is_ahead_is_never_overwritten(
    first: derlem.Project, machines: Machines, bucket: Bucket
) -> None:
    shutil.copytree(first.workspace.root, machines.folder / "stale")
    stale = machines.project("stale")
    [item] = first.items(status="ready", limit=1)
    first.withdraw(key=item.item_id)
    offline = machines.detached("stale")
    [other] = offline.items(status="ready", where=f"item_id <> '{item.item_id}'", limit=1)
    offline.withdraw(key=other.item_id)  # a segment of the same number
    before = objects(bucket)
    for act in (stale.sync_push, stale.retry, stale.sync_pull):
        with pytest.raises(Diverged, match="commits ahead"):
            act()
    after = objects(bucket)
    assert {name for name in before if before[name] != after.get(name)} <= {"latest.json"}
    assert stale.sync_status().differing
    stale.sync_pull(discard=True)
    assert item_rows(stale.workspace) == item_rows(first.workspace)
    machines.detached("strange").discover()
    with pytest.raises(Diverged, match="another workspace"):
        machines.project("strange").sync_push()


def test_lost_and_cut_files_come_back(first: derlem.Project) -> None:
    before = store_hashes(first.workspace)
    tars = sorted(first.workspace.store.rglob("*.tar"))
    rows = sorted(first.workspace.store.rglob("*.parquet"))
    tars[0].unlink()
    tars[1].write_bytes(tars[1].read_bytes()[:-512])
    rows[2].write_bytes(b"PAR1 nothing")
    rows[3].unlink()
    first.retry()
    assert store_hashes(first.workspace) == before


def test_a_damaged_object_is_an_error(first: derlem.Project, machines: Machines, bucket: Bucket) -> None:
    name = next(each.name for each in bucket.list("files/") if each.name.endswith(".tar"))
    bucket.write(name, b"x" * 100)
    with pytest.raises(DamagedObject, match=name):
        machines.project("b").sync_pull()


def test_faults_of_the_server_change_nothing(machines: Machines, finished: Path, proxy: Proxy) -> None:
    shutil.copytree(finished, machines.folder / "a")
    for action in ("slow_down", "cut", "cut_after", "truncate"):
        proxy.inject(action, chance=0.08)
    proxy.inject("conflict", "PUT", "latest.json", chance=0.08)  # only conditional writes conflict
    project, other = machines.project("a"), machines.project("b")
    project.sync_push()
    project.retry()
    other.sync_pull()
    other.build()
    proxy.faults.clear()
    assert store_hashes(other.workspace) == store_hashes(project.workspace)
    assert shard_hashes(other.workspace) == shard_hashes(project.workspace)
    assert other.sync_status().commit == project.sync_status().held + 1


def test_doctor_races_conditional_writes(machines: Machines, proxy: Proxy, bucket: Bucket) -> None:
    config = machines.folder / "derlem.yaml"
    config.write_text(yaml.safe_dump(machines.values("a")))
    [found] = [finding for finding in derlem.doctor(config) if finding.check == "copy"]
    assert (found.state, list(bucket.list())) == ("good", [])
    proxy.inject("ignore_conditions", "PUT")
    [found] = [finding for finding in derlem.doctor(config) if finding.check == "copy"]
    assert found.state == "wrong" and "5 creates and 5 replacements of 5 each" in found.detail


def test_a_dry_run_writes_nothing(first: derlem.Project, machines: Machines, bucket: Bucket) -> None:
    shutil.copytree(first.workspace.root, machines.folder / "copy")
    project, fresh = machines.project("copy"), machines.project("fresh")

    def state() -> tuple[dict[str, str], dict[str, tuple[int, int]]]:
        files = {
            str(path): (path.stat().st_mtime_ns, path.stat().st_size)
            for path in sorted(project.workspace.root.rglob("*"))
        }
        return {each.name: each.etag for each in bucket.list()}, files

    before = state()
    assert project.sync_push(dry_run=True).files == 0
    assert project.sync_pull(dry_run=True).files == 0
    project.sync_status()
    [item] = project.items(status="ready", limit=1)
    for act in (project.run, project.discover, project.ingest, project.retry, project.sample, project.build):
        act(dry_run=True)
    project.withdraw(key=item.item_id, dry_run=True, purge=True)
    assert state() == before
    assert fresh.sync_pull(dry_run=True).files == len(store_hashes(first.workspace))
    assert not fresh.workspace.root.exists()


def test_corpora_and_their_takedowns(first: derlem.Project, machines: Machines, bucket: Bucket) -> None:
    first = machines.project("a", corpora=True)
    first.sync_push()
    shards = [each.name for each in bucket.list("files/corpora/") if ".tar" in each.name]
    assert len(shards) == len(shard_hashes(first.workspace))
    other = machines.project("b", corpora=True)
    other.sync_pull()
    assert not other.audit().failed
    [item] = first.items(where="item_id IN (SELECT item_id FROM manifest)", limit=1)
    first.withdraw(key=item.item_id)
    member = f"{item.item_id}.json".encode()
    assert not [name for name, data in named(bucket) if name.startswith("files/corpora") and member in data]
    other.sync_pull()
    assert shard_hashes(other.workspace) == shard_hashes(first.workspace)
    plain = machines.project("a")
    plain.sync_push()
    assert not list(bucket.list("files/corpora/")), "no longer configured"
