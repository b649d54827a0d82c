"""The lease in a bucket: one instance works on a workspace's copy at a time, on any machine.

The lease is one object, created and replaced conditionally. It expires when its holder does not renew it, by
the clock of the server, so that clocks of machines need not agree. Its generation grows with every holder.
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..core.errors import InstanceRunning, first_problem
from ..core.workspace import Workspace
from .bucket import Bucket, BucketError, ConditionFailed, Stored
from .remote_log import Fenced, UnreadableRemote

log = logging.getLogger("derlem.sync")

NAME = "lease.json"
MARGIN = 1.0
"""Seconds beyond its term after which a lease counts as expired: the times of servers have whole seconds."""
POLL = 0.5


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """The content of the lease's object. `owner` identifies a workspace on a running machine."""

    generation: int
    seconds: float
    owner: str
    holder: dict[str, Any]
    released: bool = False
    nonce: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def data(self) -> bytes:
        """The object's content."""
        return json.dumps(asdict(self)).encode()


class LeaseHeld(InstanceRunning):
    """Another instance holds the lease of the bucket."""

    def __init__(self, place: object, record: LeaseRecord, age: float) -> None:
        self.place, self.record, self.age = place, record, age
        super().__init__(record.holder)
        self.args = (
            f"{self.args[0]}, on the copy at {place} (renewed {max(0, age):.0f} s ago, "
            f"expires after {record.seconds:.0f} s without renewal)",
        )


def read_lease(bucket: Bucket) -> tuple[LeaseRecord, Stored] | None:
    """Return the lease and its object; None before the first one."""
    found = bucket.read(NAME)
    if found is None:
        return None
    try:
        return TypeAdapter(LeaseRecord).validate_json(found.data), found
    except ValidationError as error:
        raise UnreadableRemote(NAME, first_problem(error)) from error


def is_free(record: LeaseRecord, age: float) -> bool:
    """Whether a lease was released or has expired."""
    return record.released or age > record.seconds + MARGIN


class Lease:
    """A held lease. A thread renews it; `ensure` raises Fenced after it was lost."""

    def __init__(self, bucket: Bucket, record: LeaseRecord, etag: str, asked_at: float) -> None:
        self._bucket, self._record, self._etag = bucket, record, etag
        self._until = asked_at + record.seconds
        self._renewing = threading.Lock()
        self._lost: Fenced | None = None
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    @property
    def generation(self) -> int:
        """The number of this holder."""
        return self._record.generation

    def ensure(self) -> None:
        """Renew a lease past its term, as after a pause of the process. Raises Fenced and BucketError."""
        if self._lost is None and boot_clock() >= self._until:
            self._renew()
        if self._lost is not None:
            raise self._lost

    def release(self) -> None:
        """Write an expired lease, so that the next instance need not wait. A lost lease is left alone."""
        self._end.set()
        self._thread.join()
        if self._lost is None:
            try:
                self._bucket.swap(NAME, self._next(released=True).data, self._etag)
            except ConditionFailed:
                log.warning("the lease was taken by another instance before its release")
            except BucketError as error:
                log.warning("the lease is not released and expires by itself: %s", error)

    def _keep(self) -> None:
        pause = self._record.seconds / 3
        while not self._end.wait(pause):
            try:
                self._renew()
                pause = self._record.seconds / 3
            except BucketError as error:
                pause = min(1.0, self._record.seconds / 10)
                log.warning("the lease is not renewed yet: %s", error)
            if self._lost is not None:
                log.error("%s", self._lost)
                return

    def _renew(self) -> None:
        with self._renewing:
            if self._lost is not None:
                return
            asked_at = boot_clock()
            following = self._next()
            try:
                self._etag = self._bucket.swap(NAME, following.data, self._etag)
            except ConditionFailed:
                found = read_lease(self._bucket)
                holder = {} if found is None else found[0].holder
                pid, host, since = (holder.get(key, "?") for key in ("pid", "host", "since"))
                by = f"pid {pid} on {host}, since {since}"
                self._lost = Fenced(self._bucket.place, by)
                return
            self._record, self._until = following, asked_at + following.seconds

    def _next(self, released: bool = False) -> LeaseRecord:
        return replace(self._record, released=released, nonce=secrets.token_hex(8))


def acquire(
    bucket: Bucket,
    *,
    owner: str,
    holder: dict[str, Any],
    seconds: float,
    after_generation: int,
    wait: float = 0.0,
) -> Lease:
    """Take the lease; LeaseHeld if another instance holds it for longer than `wait` seconds.

    A lease of the same owner is taken at once: the caller holds the workspace's lock, so its process is dead.
    """
    deadline = time.monotonic() + wait
    while True:
        found = read_lease(bucket)
        asked_at = boot_clock()
        if found is None:
            record = LeaseRecord(after_generation + 1, seconds, owner, holder)
            try:
                return Lease(bucket, record, bucket.create(NAME, record.data), asked_at)
            except ConditionFailed:
                continue
        held, stored = found
        if is_free(held, stored.age) or held.owner == owner:
            generation = max(after_generation, held.generation) + 1
            record = LeaseRecord(generation, seconds, owner, holder)
            try:
                return Lease(bucket, record, bucket.swap(NAME, record.data, stored.etag), asked_at)
            except ConditionFailed:
                continue
        if time.monotonic() >= deadline:
            raise LeaseHeld(bucket.place, held, stored.age)
        time.sleep(POLL)


def owner_of(workspace: Workspace) -> str:
    """Identify the workspace's lock file on this running machine; a copied workspace has another owner."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # another system: a lease of a killed process has to expire
        boot = secrets.token_hex(16)
    status = workspace.lock.stat()
    text = f"{boot}:{status.st_dev}:{status.st_ino}:{workspace.root.resolve()}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def boot_clock() -> float:
    """Seconds that also pass while the machine sleeps."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)
