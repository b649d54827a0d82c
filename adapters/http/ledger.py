"""The fetch ledger: the fetcher's state across restarts, shared by all worker processes.

The ledger stores validators of URLs with cached bodies, pauses of hosts, and the content of origins'
robots.txt and tdmrep.json. Deleting the ledger causes additional requests but loses no items.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Engine, Table, bindparam, event, func
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.schema import CreateTable
from sqlmodel import Field, Session, SQLModel, create_engine, select

from ...core.durable import create_private, disk_error
from ...core.errors import DerlemError
from .fetch_options import SITE_FILE_LIFE

FLUSH_SECONDS = 1.0
FLUSH_ROWS = 1000
BUSY_SECONDS = 60.0
_WAITING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class UrlRow(SQLModel, table=True):
    """A URL with a cached body (see body_store.py). `key` is the first 16 bytes of the URL's sha256."""

    __tablename__ = "urls"
    key: bytes = Field(primary_key=True)
    etag: str | None = None
    last_modified: str | None = None
    content_type: str | None = None
    sha256: bytes
    size: int
    pack: str
    offset: int
    at: float


class HostRow(SQLModel, table=True):
    """A pause of a host: its end and its cause.

    `at` is the time of its recording, `since` that of the first failure after the host's last answer.
    """

    __tablename__ = "hosts"
    host: str = Field(primary_key=True)
    until: float
    reason: str
    at: float
    since: float


class Pause(NamedTuple):
    """A pause of a host, which may have ended. Times are seconds since the epoch."""

    until: float
    reason: str
    since: float


class OriginRow(SQLModel, table=True):
    """The content of an origin's files; None for a missing file."""

    __tablename__ = "origins"
    origin: str = Field(primary_key=True)
    robots_status: int
    robots: str | None = None
    tdmrep: str | None = None
    at: float


class Known(NamedTuple):
    """The place of a URL's cached body (see body_store.py), and its response headers (see names.escape)."""

    sha256: str
    size: int
    pack: str = ""
    offset: int = 0
    etag: str | None = None
    last_modified: str | None = None
    content_type: str | None = None


class LedgerError(DerlemError):
    """The ledger at `path` cannot be read or written, except for a full disk."""

    def __init__(self, path: Path, why: str) -> None:
        self.path = path
        super().__init__(
            f"the fetch ledger {path} cannot be used: {why}. "
            f"If it is damaged, remove {path.name}*: that costs requests, never items"
        )


class Ledger:
    """The ledger in one process. Times are seconds since the epoch.

    A thread writes validators in batches, since losing the last second only causes further transfers; a
    host's pause is on disk when `pause_host` returns. The next `remember` or `close` raises an error of the
    thread. All methods raise DiskError and LedgerError.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        with _reporting(path):
            self.engine = _open(path)
        self._failed: DerlemError | None = None
        self._pending: dict[bytes, dict[str, Any]] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._empty = self._has_no_urls()
        self._writer = threading.Thread(target=self._write_on, name="derlem-ledger", daemon=True)
        self._writer.start()

    def known(self, urls: Sequence[str]) -> dict[str, Known]:
        """Return the stored bodies of URLs, by URL; pass at most a few hundred."""
        if self._empty:
            return {}
        by_key = {_key(url): url for url in urls}
        with self._changed:
            rows = [dict(self._pending[key]) for key in by_key if key in self._pending]
        table = _table(UrlRow)
        with _reporting(self._path), self.engine.connect() as connection:
            found = connection.execute(table.select().where(table.c.key.in_(list(by_key))))
            rows = [dict(row._mapping) for row in found] + rows
        return {
            by_key[row["key"]]: Known(
                sha256=row["sha256"].hex(), **{name: row[name] for name in Known._fields[1:]}
            )
            for row in rows
        }

    def remember(self, url: str, known: Known) -> None:
        """Queue a URL's place and validators for the writer thread."""
        key = _key(url)
        row = known._asdict()
        row |= {"key": key, "sha256": bytes.fromhex(known.sha256), "at": time.time()}
        with self._changed:
            if self._failed is not None:
                raise self._failed
            self._empty = False
            self._pending[key] = row
            if len(self._pending) == FLUSH_ROWS:
                self._changed.notify()

    def packed(self) -> Iterator[tuple[str, str, int, int]]:
        """Yield every body in a pack: (sha256 in hex, pack, offset, size)."""
        table = _table(UrlRow)
        columns = (table.c.sha256, table.c.pack, table.c.offset, table.c.size)
        with _reporting(self._path), self.engine.connect() as connection:
            for digest, pack, offset, size in connection.execute(select(*columns).where(table.c.pack != "")):
                yield digest.hex(), pack, offset, size

    def forget(self, digests: Iterable[str]) -> None:
        """Delete URLs whose bytes have one of these sha256 (hex)."""
        table = _table(UrlRow)
        rows = [{"gone": bytes.fromhex(digest)} for digest in digests]
        if rows:
            with _reporting(self._path), self.engine.begin() as connection:
                connection.execute(table.delete().where(table.c.sha256 == bindparam("gone")), rows)

    def pause_host(self, host: str, until: float, reason: str, since: float | None = None) -> None:
        """Pause a host until `until`, for all present and later processes; never shortens a pause.

        `since` is the time of the first failure (default: now); an earlier one in the ledger stays, until
        `answered`.
        """
        table, now = _table(HostRow), time.time()
        values = {"host": host, "until": until, "reason": reason, "at": now, "since": since or now}
        statement = insert(table).values(values)
        later: dict[str, Any] = {name: statement.excluded[name] for name in ("until", "reason", "at")}
        later["since"] = func.min(table.c.since, statement.excluded["since"])
        # also a pause from the future: the clock was ahead
        replaced = (table.c.until < statement.excluded["until"]) | (table.c.at > statement.excluded["at"])
        with _reporting(self._path), self.engine.begin() as connection:
            connection.execute(
                statement.on_conflict_do_update(index_elements=["host"], set_=later, where=replaced)
            )

    def answered(self, host: str) -> None:
        """Remove a host's pause, after an answer, unless the pause still lasts."""
        table = _table(HostRow)
        ended = (table.c.host == host) & (table.c.until <= time.time())
        with _reporting(self._path), self.engine.begin() as connection:
            connection.execute(table.delete().where(ended))

    def pause_of(self, host: str, longest: float) -> Pause | None:
        """Return a host's last pause, which may have ended; None if the host answered after it."""
        with _reporting(self._path), Session(self.engine) as session:
            row = session.get(HostRow, host)
            if row is None:
                return None
            now = time.time()
            if row.at > now:  # the clock was ahead, or goes back: the pause begins now
                row.until, row.at = now + row.until - row.at, now
                session.add(row)
                session.commit()
            return Pause(min(row.until, row.at + longest), row.reason, min(row.since, row.at))

    def remember_origin(self, row: OriginRow) -> None:
        """Store the content of an origin's files."""
        self._put(OriginRow, [row.model_dump()])

    def origin(self, origin: str) -> OriginRow | None:
        """Return the content of an origin's files, unless expired."""
        with _reporting(self._path), Session(self.engine, expire_on_commit=False) as session:
            wanted = select(OriginRow).where(
                OriginRow.origin == origin, OriginRow.at > time.time() - SITE_FILE_LIFE
            )
            return session.exec(wanted).first()

    def close(self) -> None:
        """Write queued rows and close the database."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._writer.join()
        self.engine.dispose()
        if self._failed is not None:
            raise self._failed

    def _has_no_urls(self) -> bool:
        with _reporting(self._path), Session(self.engine) as session:
            return session.exec(select(UrlRow.size).limit(1)).first() is None

    def _write_on(self) -> None:
        """The writer thread."""
        try:
            self._write_batches()
        except DerlemError as error:
            with self._changed:
                self._failed = error

    def _write_batches(self) -> None:
        """Write a batch each second, or once enough rows are queued, until the ledger is closed."""
        closing = False
        while not closing:
            with self._changed:
                if not self._closing and len(self._pending) < FLUSH_ROWS:
                    self._changed.wait(FLUSH_SECONDS)
                closing = self._closing
                rows = list(self._pending.values())
            if rows:
                self._put(UrlRow, rows)
                with self._changed:  # rows replaced meanwhile go into the next batch
                    for row in rows:
                        if self._pending.get(row["key"]) is row:
                            del self._pending[row["key"]]

    def _put(self, model: type[SQLModel], rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert or replace rows: one statement, so that it can wait for other writers."""
        with _reporting(self._path), self.engine.begin() as connection:
            connection.execute(insert(_table(model)).prefix_with("OR REPLACE"), list(rows))


def recorded_pauses(path: Path, longest: float) -> list[tuple[str, str, datetime, datetime]]:
    """Host, reason, first failure and end (UTC) of every pause in the ledger at `path`; writes nothing.

    The first failure is the one after the host's last answer; the pause may have ended. LedgerError where it
    cannot be read.
    """
    rows = _read_only(path, "SELECT host, reason, at, until, since FROM hosts ORDER BY host")
    now = time.time()
    found = []
    for host, reason, recorded, end, began in rows:
        start = min(recorded, now)
        until = min(end - recorded + start, start + longest)
        since = min(began, start)
        found.append((host, reason, datetime.fromtimestamp(since, UTC), datetime.fromtimestamp(until, UTC)))
    return found


def paused_hosts(path: Path, longest: float) -> list[tuple[str, str, datetime, datetime]]:
    """The `recorded_pauses` that have not ended."""
    now = datetime.now(UTC)
    return [pause for pause in recorded_pauses(path, longest) if pause[3] > now]


def stored_body(path: Path, url: str) -> tuple[str, int, str, int] | None:
    """Sha256 (hex), size, pack and offset of a URL's cached body, from the ledger at `path`; writes nothing.

    LedgerError where it cannot be read.
    """
    rows = _read_only(path, 'SELECT sha256, size, pack, "offset" FROM urls WHERE key = ?', [_key(url)])
    return (rows[0][0].hex(), *rows[0][1:]) if rows else None


def _read_only(path: Path, sql: str, values: Sequence[object] = ()) -> list[Any]:
    unwritten = "" if Path(f"{path}-wal").exists() else "&immutable=1"  # else SQLite makes files beside it
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro{unwritten}", uri=True)
        ) as connection:
            return connection.execute(sql, list(values)).fetchall()
    except sqlite3.Error as error:
        raise LedgerError(path, str(error)) from error


def clear_host(path: Path, host: str) -> bool:
    """Forget the pause of a host in the ledger at `path`; whether one was recorded. LedgerError."""
    try:
        with closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection, connection:
            return bool(connection.execute("DELETE FROM hosts WHERE host = ?", [host]).rowcount)
    except sqlite3.Error as error:
        raise disk_error(error) or LedgerError(path, str(error)) from error


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    """Convert exceptions of the ledger's database to DiskError or LedgerError."""
    try:
        yield
    except (SQLAlchemyError, UnicodeDecodeError) as error:  # UnicodeDecodeError: damaged text
        raise disk_error(error) or LedgerError(path, str(error.__cause__ or error)) from error


def _open(path: Path) -> Engine:
    if not path.exists():
        create_private(path)
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")

    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            with engine.begin() as connection:
                for model in (UrlRow, HostRow, OriginRow):
                    connection.execute(CreateTable(_table(model), if_not_exists=True))
            return engine
        except OperationalError as error:  # SQLite does not wait while others switch to WAL
            code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # the upper bits are the extended code
            if code not in _WAITING or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _table(model: type[SQLModel]) -> Table:
    table: Table = model.__table__  # type: ignore[attr-defined]  # SQLModel adds it to table classes
    return table


def _key(url: str) -> bytes:
    return hashlib.sha256(url.encode("utf-8", "surrogateescape")).digest()[:16]
