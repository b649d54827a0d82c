"""Brings the files of a copy into a workspace, and compares the two."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..core.durable import replace_file
from ..core.errors import DerlemError
from ..core.workspace import Workspace
from .local_files import LEDGER, is_segment, lost_segments, segment_files
from .pusher import Describe
from .remote_log import Latest, RemoteFile, RemoteState, Snapshot
from .sync_index import SyncIndex
from .sync_options import SyncOptions
from .transfer import Transfers

log = logging.getLogger("derlem.sync")


class Diverged(DerlemError):
    """Workspace and copy each contain segments that the other lacks; neither is changed."""

    def __init__(self, place: object, why: str) -> None:
        super().__init__(
            f"{place}: {why}. Nothing was changed. `derlem sync pull --discard` gives up what is local only; "
            "another `sync.url` keeps both"
        )


class Detached(DerlemError):
    """The workspace was restored to an earlier state and cannot be pushed to the copy that it came from."""

    def __init__(self, place: object, what: str) -> None:
        super().__init__(
            f"this workspace was restored to {what} of {place}, which is ahead of it and is never "
            "overwritten. Set another `sync.url` to go on from here; `derlem sync pull --discard` returns to "
            "the newest state"
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Segment files of workspace and copy. `damaged` ones are local and no form of the copy's."""

    equal: tuple[str, ...]
    local_only: tuple[str, ...]
    remote_only: tuple[str, ...]
    differing: tuple[str, ...]
    damaged: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether all segment files are equal."""
        return not (self.local_only or self.remote_only or self.differing or self.damaged)


def compare(workspace: Workspace, index: SyncIndex, state: RemoteState, describe: Describe) -> Comparison:
    """Compare the segments of a workspace with a copy; recorded losses do not count as missing."""
    local = index.hashes(segment_files(workspace))
    remote = {path: file for path, file in state.files.items() if is_segment(path)}
    lost = lost_segments(workspace)
    both = [path for path in local if path in remote]
    differing = [path for path in both if local[path].sha256 != remote[path].sha256]
    damaged = [
        path
        for path in differing
        if (path.endswith(".tar") and local[path].size != remote[path].size)
        or (path.endswith(".parquet") and describe(workspace.root / path) is None)
    ]
    return Comparison(
        equal=tuple(path for path in both if local[path].sha256 == remote[path].sha256),
        local_only=tuple(path for path in local if path not in remote),
        remote_only=tuple(path for path in remote if path not in local and path not in lost),
        differing=tuple(path for path in differing if path not in damaged),
        damaged=tuple(damaged),
    )


def check_relation(
    place: object, index: SyncIndex, latest: Latest, state: RemoteState, found: Comparison
) -> bool:
    """Return whether the copy is ahead, so that a pull comes first. Raises Diverged and Detached."""
    if index.remote_id != latest.id:
        return _check_strange(place, latest, found)
    if index.detached is not None:
        raise Detached(place, index.detached)
    if index.commit > latest.commit:
        why = f"it ends at commit {latest.commit}, and the workspace has pushed commit {index.commit}"
        raise Diverged(place, f"{why} (was the bucket restored from an older copy?)")
    if index.commit == latest.commit:
        return bool(found.remote_only or found.damaged)
    # a file that appeared in the copy after the last pull is another one here under the same number
    own = (*found.local_only, *(path for path in found.differing if state.files[path].commit > index.commit))
    if own:
        ahead = f"it is {latest.commit - index.commit} commits ahead"
        raise Diverged(place, f"{ahead}, and {len(own)} files are local only, such as {own[0]}")
    return True


def _check_strange(place: object, latest: Latest, found: Comparison) -> bool:
    """The relation to a copy that this workspace never used: one must contain the other."""
    if found.differing or (found.local_only and (found.remote_only or found.damaged)):
        [example, *_] = (*found.differing, *found.local_only)
        raise Diverged(place, f"it belongs to another workspace: {example} is not the same there")
    return latest.commit > 0 and not found.local_only


@dataclass(frozen=True, slots=True)
class Pulled:
    """Files and bytes that were downloaded; `catalog` is the copy of the catalog that was restored."""

    files: int
    bytes: int
    catalog: Snapshot | None


class Puller:
    """Makes a workspace equal to a state of its copy. The caller holds the workspace's lock."""

    def __init__(
        self, workspace: Workspace, options: SyncOptions, transfers: Transfers, index: SyncIndex
    ) -> None:
        self._workspace, self._options = workspace, options
        self._transfers, self._index = transfers, index

    def wanted(self, state: RemoteState, *, extras: bool = True) -> list[RemoteFile]:
        """The files of a state that the workspace lacks or holds in another form."""
        files = [file for file in state.files.values() if self._chosen(file.path, extras)]
        local = self._index.hashes(file.path for file in files)
        lost = lost_segments(self._workspace)
        return [
            file
            for file in files
            if file.path not in lost and (file.path not in local or local[file.path].sha256 != file.sha256)
        ]

    def _chosen(self, path: str, extras: bool) -> bool:
        if is_segment(path):
            return True
        folder = path.partition("/")[0]
        switches = {"corpora": self._options.corpora, "cache": self._options.cache, LEDGER: True}
        return extras and switches.get(folder, False)

    def pull(
        self,
        state: RemoteState,
        snapshots: Iterable[Snapshot],
        *,
        newer: bool = True,
        report: Callable[[int], None] = lambda size: None,
    ) -> Pulled:
        """Download what is wanted, samples before rows, and the newest fitting copy of a missing catalog.

        Rows make a segment valid: after a kill, no segment is there without its samples. Without `newer`,
        only segments are taken: the other files of the workspace are as new as the copy, or newer.
        """
        wanted = self.wanted(state, extras=newer)
        size = 0
        for group in (
            [file for file in wanted if not file.path.endswith(".parquet") or not is_segment(file.path)],
            [file for file in wanted if file.path.endswith(".parquet") and is_segment(file.path)],
        ):
            sizes = {self._workspace.root / file.path: file.size for file in group}
            downloads = [
                (file.name, self._workspace.root / file.path, file.sha256, file.size) for file in group
            ]
            for path in self._transfers.downloads(downloads):
                size += sizes[path]
                report(sizes[path])
        if newer:
            self._write_texts(state)
        catalog = None
        if not self._workspace.catalog.exists():
            fitting = [snapshot for snapshot in snapshots if snapshot.commit <= state.commit]
            if fitting:
                catalog = max(fitting, key=lambda each: each.commit)
                self._transfers.download(catalog.name, self._workspace.catalog, catalog.sha256, catalog.size)
                size += catalog.size
                report(catalog.size)
        return Pulled(len(wanted), size, catalog)

    def _write_texts(self, state: RemoteState) -> None:
        for path, text in state.texts.items():
            target = self._workspace.root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.read_text("utf-8") != text:
                replace_file(target, text)

    def discard(self, keep: Collection[str]) -> None:
        """Remove the catalog, corpora, run states, and the segments that are not in `keep`.

        Rows go first: a segment without rows is not there.
        """
        workspace = self._workspace
        for path in (workspace.catalog, Path(f"{workspace.catalog}.wal"), workspace.state / "current.json"):
            path.unlink(missing_ok=True)
        for folder in (workspace.corpora, workspace.state):
            for path in sorted(folder.rglob("*"), reverse=True):
                path.rmdir() if path.is_dir() else path.unlink()
        marks = [path.relative_to(workspace.root).as_posix() for path in workspace.store.glob("*/*.lost")]
        for name in (*sorted(segment_files(workspace), key=lambda each: each.endswith(".tar")), *marks):
            if name not in keep:
                (workspace.root / name).unlink(missing_ok=True)
        for tar in workspace.store.glob("*/[0-9]*.tar"):
            if not tar.with_suffix(".parquet").exists():
                tar.unlink()
        for provenance in workspace.store.glob("*/provenance.json"):
            provenance.unlink()
            with suppress(OSError):  # a source that the restored state does not know
                provenance.parent.rmdir()
