"""Pushes files of a workspace to its copy: uploads their contents, then appends a commit that names them."""

from __future__ import annotations

import logging
import subprocess
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..core.errors import DerlemError
from ..core.workspace import Workspace
from .bucket import BucketError
from .local_files import LEDGER, extra_files, is_segment, ledger_copy, lost_segments, segment_files, texts
from .remote_log import Latest, RemoteFile, RemoteLog, RemoteState, Snapshot
from .sync_index import Hashed, SyncIndex
from .sync_options import SyncOptions
from .transfer import FileChanged, Transfers, file_sha256

log = logging.getLogger("derlem.sync")

COMMIT_FILES = 400
COMMIT_BYTES = 2 * 1024**3
"""Files and bytes of one commit: a long first push is kept piece by piece."""
LIST_EVERY = 200
"""Commits between lists of all files."""


class SegmentFacts(NamedTuple):
    """Kind and run of a segment."""

    kind: str
    run: str


Describe = Callable[[Path], SegmentFacts | None]
"""Reads the facts of a segment's rows; None for a damaged segment."""


class DamagedSegment(DerlemError):
    """A file of the store differs from its copy and is no purged form of it."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__(f"{path} is damaged; its copy is kept. `derlem sync pull` restores the file")


@dataclass(slots=True)
class PushCount:
    """Files and bytes that were uploaded, and commits that were appended."""

    files: int = 0
    bytes: int = 0
    commits: int = 0
    snapshot: bool = False


class Pusher:
    """Appends to the copy, as the holder of its lease. `latest` and `state` describe the copy."""

    def __init__(
        self,
        workspace: Workspace,
        options: SyncOptions,
        remote: RemoteLog,
        transfers: Transfers,
        index: SyncIndex,
        describe: Describe,
        latest: Latest,
        state: RemoteState,
    ) -> None:
        self._workspace, self._options = workspace, options
        self._remote, self._transfers, self._index, self._describe = remote, transfers, index, describe
        self.latest, self.state = latest, state
        self.run = ""
        self.count = PushCount()
        self._opened = datetime.now(UTC)
        self.delete_garbage()

    # -- what there is to push ------------------------------------------------------------------------------

    def push_segments(self, paths: Sequence[str] | None = None) -> None:
        """Push new and purged segments (default: all that differ), with the small texts.

        Raises BucketError, Fenced and DamagedSegment; what earlier commits contain is kept.
        """
        candidates = segment_files(self._workspace) if paths is None else paths
        hashes = self._index.hashes(candidates)
        new = [path for path in candidates if path in hashes and self._differs(path, hashes[path])]
        for part in _parts(new, hashes):
            self._commit({path: hashes[path] for path in part}, texts={})
        removed: set[str] = set()
        if paths is None:
            removed |= lost_segments(self._workspace) & self.state.files.keys()
            removed |= self.state.texts.keys() - texts(self._workspace).keys()  # pruned states of runs
        self._commit({}, removed=sorted(removed), texts=self._new_texts())

    def push_extras(self) -> None:
        """Push the ledger, and corpora and cache if configured; remove from the copy what is not local."""
        options = self._options
        paths = extra_files(self._workspace, corpora=options.corpora, cache=options.cache)
        with ledger_copy(self._workspace) as copy:
            hashes = self._index.hashes(paths)
            files = {path: hashes[path] for path in paths if path in hashes}
            places = {path: self._workspace.root / path for path in files}
            if copy is not None:
                files[LEDGER] = Hashed(copy.stat().st_size, 0, file_sha256(copy))
                places[LEDGER] = copy
            there = {path for path in self.state.files if not is_segment(path) and path != LEDGER}
            changed = {path: found for path, found in files.items() if self._differs(path, found)}
            for part in _parts(list(changed), changed):
                self._commit({path: changed[path] for path in part}, places=places, texts={})
            self._commit({}, removed=sorted(there - files.keys()), texts=self._new_texts())

    def _differs(self, path: str, found: Hashed) -> bool:
        known = self.state.files.get(path)
        return known is None or known.sha256 != found.sha256

    def _new_texts(self) -> dict[str, str]:
        found = texts(self._workspace)
        return {path: text for path, text in found.items() if self.state.texts.get(path) != text}

    # -- commits --------------------------------------------------------------------------------------------

    def _commit(
        self,
        files: Mapping[str, Hashed],
        *,
        texts: Mapping[str, str],
        places: Mapping[str, Path] | None = None,
        removed: Collection[str] = (),
    ) -> None:
        """Upload files and append one commit; nothing if there is no change."""
        if not files and not removed and not texts:
            return
        described = [self._remote_file(path, found) for path, found in files.items()]
        uploads = [
            (
                (places or {}).get(file.path, self._workspace.root / file.path),
                file.name,
                file.sha256,
                file.size,
            )
            for file in sorted(described, key=lambda each: (each.path.endswith(".tar"), each.size))
        ]
        sizes = {file.name: file.size for file in described}
        try:
            for name in self._transfers.uploads(uploads):
                self.count.files += 1
                self.count.bytes += sizes[name]
        except FileChanged as error:
            if is_segment(error.path.relative_to(self._workspace.root).as_posix()):
                raise
            log.info("%s: pushed the next time", error)
            return
        complete = False
        while not complete:
            described = [replace(file, commit=self.latest.commit + 1) for file in described]
            garbage, snapshots = self._garbage_of(described, removed)
            self.latest, commit = self._remote.append(
                self.latest, self.run, described, removed, texts, garbage=garbage, snapshots=snapshots
            )
            # an earlier attempt's commit may have taken the number: then these files follow it
            complete = commit.files == tuple(described) and commit.removed == tuple(removed)
            self.state.apply(commit)
            self._index.record(self.latest.id, self.latest.commit)
            self.count.commits += 1
            self.delete_garbage()
        if self.state.commit - self.latest.list_commit >= LIST_EVERY:
            self._write_list()

    def _remote_file(self, path: str, found: Hashed) -> RemoteFile:
        facts = SegmentFacts("", "")
        if is_segment(path):
            known = self.state.files.get(path)
            rows = (self._workspace.root / path).with_suffix(".parquet")
            described = self._describe(rows)
            if described is None or (known and path.endswith(".tar") and known.size != found.size):
                raise DamagedSegment(path)
            facts = described
        pure = PurePosixPath(path)
        name = f"files/{pure.with_name(f'{pure.stem}-{found.sha256[:24]}{pure.suffix}')}"
        commit = self.latest.commit + 1
        return RemoteFile(path, name, found.sha256, found.size, commit, facts.kind, facts.run)

    def _garbage_of(
        self, files: Iterable[RemoteFile], removed: Iterable[str]
    ) -> tuple[tuple[str, ...], tuple[Snapshot, ...]]:
        """Objects that nothing names after a commit.

        A purge replaces segments: copies of the catalog from before contain the erased texts.
        """
        names = {file.name for file in files}
        old = [self.state.files.get(path) for path in (*(file.path for file in files), *removed)]
        garbage = {file.name for file in old if file is not None} | set(self.latest.garbage)
        snapshots = self.latest.snapshots
        if any(file is not None and is_segment(file.path) and file.name not in names for file in old):
            garbage |= {snapshot.name for snapshot in snapshots}
            snapshots = ()
        return tuple(sorted(garbage - names)), snapshots

    def delete_garbage(self) -> None:
        """Delete objects that are not needed; what cannot be deleted now stays in `latest.json`."""
        if not self.latest.garbage:
            return
        try:
            self._remote.bucket.delete(self.latest.garbage)
        except BucketError as error:
            log.warning("objects that were replaced are deleted later: %s", error)
        else:
            self.latest = replace(self.latest, garbage=())  # written with the next commit

    # -- snapshots ------------------------------------------------------------------------------------------

    @property
    def snapshot_due(self) -> bool:
        """Whether a copy of the catalog is due: the last one is old, and there are later commits."""
        if not self.state.commit or not self._workspace.catalog.exists():
            return False
        last = self.latest.snapshots[-1] if self.latest.snapshots else None
        since = self._opened if last is None else last.at
        age = (datetime.now(UTC) - since).total_seconds()
        return age >= self._options.snapshot_seconds and (last is None or last.commit < self.state.commit)

    @property
    def snapshot_missing(self) -> bool:
        """Whether there are commits and no copy of the catalog, as after a purge."""
        return bool(self.state.commit and not self.latest.snapshots and self._workspace.catalog.exists())

    def push_snapshot(self, copy: Path) -> None:
        """Push a copy of the catalog that contains no more than what was pushed, and forget the oldest."""
        digest, size = file_sha256(copy), copy.stat().st_size
        name = f"snapshots/{self.state.commit:010d}-{digest[:24]}.duckdb"
        self._transfers.upload(copy, name, digest, size)
        added = Snapshot(name, self.state.commit, datetime.now(UTC), digest, size)
        kept = (*(each for each in self.latest.snapshots if each.name != name), added)
        kept = kept[-self._options.snapshots :]
        old = {each.name for each in self.latest.snapshots} - {each.name for each in kept}
        garbage = tuple(sorted({*self.latest.garbage, *old}))
        self.latest = self._remote.update(self.latest, snapshots=kept, garbage=garbage)
        self.count.snapshot = True
        self.count.bytes += size
        self._write_list()
        self.delete_garbage()
        self.sweep()

    def _write_list(self) -> None:
        """Store a list of all files; lists beside those of the snapshots are not needed any more."""
        name = self._remote.write_list(self.state)
        self.latest = self._remote.update(self.latest, list_name=name, list_commit=self.state.commit)
        needed = {snapshot.commit for snapshot in self.latest.snapshots} | {self.state.commit}
        listed = [each.name for each in self._remote.bucket.list("lists/")]
        self._remote.bucket.delete(each for each in listed if each != name and int(each[6:16]) not in needed)

    def sweep(self) -> None:
        """Delete what nothing names, such as uploads of an instance that lost its lease."""
        named = {file.name for file in self.state.files.values()}
        named |= {snapshot.name for snapshot in self.latest.snapshots}
        bucket = self._remote.bucket
        for prefix in ("files/", "snapshots/"):
            bucket.delete([each.name for each in bucket.list(prefix) if each.name not in named])
        self._transfers.abort_uploads()


def _parts(paths: Sequence[str], hashes: Mapping[str, Hashed]) -> Iterable[list[str]]:
    """Divide paths into commits; rows and samples of a segment are in one."""
    part: list[str] = []
    size = 0
    for path in paths:
        full = len(part) >= COMMIT_FILES or size >= COMMIT_BYTES
        if full and not (path.endswith(".tar") and part[-1] == f"{path[:-4]}.parquet"):
            yield part
            part, size = [], 0
        part.append(path)
        size += hashes[path].size
    if part:
        yield part


def copy_catalog(workspace: Workspace) -> Path | None:
    """Copy the catalog beside itself and return the copy; None while it is open or has a write-ahead log.

    The caller holds the workspace's lock and has no connection open. Another process copies: closing the file
    in this one would drop the lock of a reader in another thread.
    """
    if not workspace.catalog.exists() or Path(f"{workspace.catalog}.wal").exists():
        return None
    copy = workspace.root / ".catalog.copy.tmp"
    try:
        subprocess.run(["cp", "--", str(workspace.catalog), str(copy)], check=True, capture_output=True)
    except subprocess.CalledProcessError as error:
        copy.unlink(missing_ok=True)
        log.warning("no copy of the catalog was made: %s", error.stderr.decode(errors="replace").strip())
        return None
    return copy
