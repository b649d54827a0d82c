"""Opens the copy of a workspace: bucket, transfers, index and log, as the configuration declares them."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..core.workspace import Workspace
from .bucket import Bucket, Encryption
from .lease import Lease, acquire, owner_of
from .places import BucketPlace
from .remote_log import RemoteLog
from .sync_index import SyncIndex
from .sync_options import SyncOptions
from .transfer import Limiter, Transfers
from .transfer_pool import TransferPool


@dataclass(frozen=True, slots=True)
class Connection:
    """The parts that reading and writing a copy share. `stop` ends all waiting between attempts."""

    workspace: Workspace
    options: SyncOptions
    bucket: Bucket
    transfers: Transfers
    remote: RemoteLog
    index: SyncIndex
    stop: threading.Event


@contextmanager
def connect(workspace: Workspace, options: SyncOptions, *, keep_index: bool = True) -> Iterator[Connection]:
    """Open the copy; no request is sent yet. Raises MissingExtra and BucketError."""
    stop = threading.Event()
    bucket = open_bucket(options, stop)
    pool = TransferPool(options.transfers)
    try:
        yield Connection(
            workspace,
            options,
            bucket,
            Transfers(bucket, pool, Limiter(options.bandwidth)),
            RemoteLog(bucket, pool, socket.gethostname()),
            SyncIndex(workspace, keep=keep_index),
            stop,
        )
    finally:
        pool.close()


def open_bucket(
    options: SyncOptions, stop: threading.Event | None = None, read_seconds: float | None = None
) -> Bucket:
    """Open the configured bucket."""
    encryption = options.encryption
    return Bucket(
        BucketPlace.parse(options.url),
        endpoint_url=options.endpoint_url,
        region=options.region,
        encryption=None if encryption is None else Encryption(encryption.kind, encryption.kms_key),
        connections=options.transfers + 4,
        stop=stop,
        **({} if read_seconds is None else {"read_seconds": read_seconds}),
    )


def take_lease(connection: Connection, command: str, wait: float) -> Lease:
    """Take the lease for a command. Raises LeaseHeld; the caller holds the workspace's lock."""
    options = connection.options
    holder: dict[str, Any] = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "command": command,
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    latest = connection.remote.read_latest()
    return acquire(
        # a request that hangs must not outlast the lease
        open_bucket(options, read_seconds=max(1.0, options.lease_seconds / 4)),
        owner=owner_of(connection.workspace),
        holder=holder,
        seconds=options.lease_seconds,
        after_generation=0 if latest is None else latest.generation,
        wait=wait,
    )
