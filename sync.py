"""Synchronizes a project with its copy in a bucket by hand: the methods `sync_*` of `Project`."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from . import results
from .core.errors import ConfigError

if TYPE_CHECKING:
    from .execution import Execution
    from .storage.sync_options import SyncOptions


class SyncMethods:
    """The methods of `Project` for the copy of its workspace."""

    _execution: Execution

    def sync_push(self, *, dry_run: bool = False) -> results.SyncPushResult:
        """Push everything that the copy in the bucket lacks. Raises Diverged if the copy is ahead."""
        from .corpus.restore import restore_corpora
        from .pipeline import syncing
        from .pipeline.lock import instance_lock

        execution = self._execution
        options, command = _configured(execution), execution.recorded("sync_push")
        if dry_run:
            count, commit = syncing.plan_push(execution.workspace, options)
            return results.SyncPushResult(True, count.files, count.bytes, commit, False)
        with instance_lock(execution.workspace, command, execution.wait):
            count, commit = syncing.push(
                execution.workspace, options, command, restore_corpora, execution.wait
            )
        return results.SyncPushResult(False, count.files, count.bytes, commit, count.snapshot)

    def sync_pull(
        self, *, at: str | None = None, discard: bool = False, dry_run: bool = False
    ) -> results.SyncPullResult:
        """Bring the workspace to the newest state of its copy, or to the state at a time or the end of a run.

        `at` is a time in ISO format (UTC without an offset) or the id of a run. A workspace of an earlier
        state cannot be pushed to the same copy; withdrawals after that state are kept. With `discard`, what
        is local only is removed; otherwise it is an error (Diverged).
        """
        from .corpus.restore import restore_corpora
        from .pipeline import syncing
        from .pipeline.lock import instance_lock

        execution = self._execution
        options, workspace = _configured(execution), execution.workspace
        lock = instance_lock(workspace, execution.recorded("sync_pull"), execution.wait)
        with nullcontext() if dry_run else lock:
            plan, pulled = syncing.pull(
                workspace, options, restore_corpora, at=at, discard=discard, dry_run=dry_run
            )
        if pulled is None:
            return results.SyncPullResult(True, plan.files, plan.bytes, plan.state.commit, plan.label)
        snapshot = None if pulled.catalog is None else pulled.catalog.commit
        return results.SyncPullResult(
            False, pulled.files, pulled.bytes, plan.state.commit, plan.label, snapshot
        )

    def sync_status(self) -> results.SyncStatusResult:
        """Compare the workspace with its copy, and show the holder of the lease."""
        from .pipeline import syncing

        options = _configured(self._execution)
        found = syncing.status(self._execution.workspace, options)
        latest = found.latest
        return results.SyncStatusResult(
            url=options.url,
            commit=0 if latest is None else latest.commit,
            held=found.held,
            pushed_at=None if latest is None or not latest.commit else latest.at,
            pushed_by=None if latest is None else latest.host,
            equal=len(found.found.equal),
            local_only=found.found.local_only,
            remote_only=(*found.found.remote_only, *found.found.damaged),
            differing=found.found.differing,
            lag=found.lag,
            snapshots=() if latest is None else tuple(snapshot.commit for snapshot in latest.snapshots),
            holder=found.holder,
            restored=found.detached,
        )


def _configured(execution: Execution) -> SyncOptions:
    if execution.sync_options is None:
        raise ConfigError("no copy is configured (sync: {url: s3://bucket/prefix})", key="sync")
    return execution.sync_options
