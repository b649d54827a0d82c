"""The copy of a workspace in a bucket: immutable files, a log of commits, and `latest.json`, its end.

- `files/...`: the content of a file, under a name that contains its hash;
- `commits/<number>-<generation>.json`: the files of one push, created once;
- `lists/<number>-<generation>.json.zst`: all files after a commit, so that a reader needs only later commits;
- `snapshots/...`: copies of the catalog;
- `latest.json`: replaced by the holder of the lease only, on condition that nothing changed since the read.

A commit exists when `latest.json` names it or a later one. A holder that lost its lease may leave a commit of
an older generation; of several commits of one number, the one of the highest generation belongs to the log.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeVar

import zstandard
from pydantic import TypeAdapter, ValidationError

from ..core.errors import DerlemError, first_problem
from .bucket import Bucket, ConditionFailed
from .transfer_pool import TransferPool

VERSION = 1
LATEST = "latest.json"

T = TypeVar("T")


class UnreadableRemote(DerlemError):
    """An object of the log is damaged or was written by another version of derlem."""

    def __init__(self, name: str, why: str) -> None:
        self.name, self.why = name, why
        super().__init__(f"{name} in the bucket cannot be used: {why}")


class Fenced(DerlemError):
    """`latest.json` was replaced by another instance; nothing was overwritten."""

    exit_code = 4

    def __init__(self, place: object, by: str) -> None:
        super().__init__(
            f"{place}: another instance ({by}) took over, and this one may not push: it was stopped or cut "
            "off for longer than its lease. `derlem sync status` shows what is local only"
        )


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file in the bucket. `path` is relative to the workspace, `name` the object with its content.

    `commit` is the first commit that contains the path. `kind` and `run` describe segments.
    """

    path: str
    name: str
    sha256: str
    size: int
    commit: int
    kind: str = ""
    run: str = ""


@dataclass(frozen=True, slots=True)
class Commit:
    """One push: new and replaced files, removed paths, and small texts (path to content)."""

    number: int
    previous: str | None
    generation: int
    at: datetime
    host: str
    run: str
    files: tuple[RemoteFile, ...] = ()
    removed: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    version: int = VERSION

    @property
    def name(self) -> str:
        """The object's name."""
        return commit_name(self.number, self.generation)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of the catalog, which contains no commit after `commit`."""

    name: str
    commit: int
    at: datetime
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Latest:
    """The content of `latest.json`. `garbage` are objects that no commit needs; the holder deletes them."""

    id: str
    commit: int
    commit_name: str | None
    generation: int
    at: datetime
    host: str
    list_name: str | None = None
    list_commit: int = 0
    snapshots: tuple[Snapshot, ...] = ()
    garbage: tuple[str, ...] = ()
    nonce: str = ""
    version: int = VERSION


@dataclass(slots=True)
class RemoteState:
    """All files and texts after a commit, and the last commit of every run."""

    commit: int = 0
    files: dict[str, RemoteFile] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)
    version: int = VERSION

    def apply(self, commit: Commit) -> None:
        """Add a commit."""
        self.commit = commit.number
        for file in commit.files:
            earlier = self.files.get(file.path)
            self.files[file.path] = file if earlier is None else replace(file, commit=earlier.commit)
        for path in commit.removed:
            self.files.pop(path, None)
            self.texts.pop(path, None)
        self.texts.update(commit.texts)
        if commit.run:
            self.runs[commit.run] = commit.number


def commit_name(number: int, generation: int) -> str:
    """Name of a commit's object; names sort like numbers."""
    return f"commits/{number:010d}-{generation:08d}.json"


@dataclass(slots=True)
class RemoteLog:
    """Reads the log, and appends to it as the holder of a lease of `generation`."""

    bucket: Bucket
    pool: TransferPool
    host: str
    generation: int = 0
    _etag: str = ""

    def read_latest(self) -> Latest | None:
        """Return `latest.json`; None before the first push."""
        found = self.bucket.read(LATEST)
        if found is None:
            return None
        self._etag = found.etag
        return _parse(Latest, LATEST, found.data)

    def take_over(self, generation: int) -> Latest:
        """Write this generation into `latest.json`, so that no earlier holder can push any more."""
        self.generation = generation
        while True:
            latest = self.read_latest()
            if latest is not None and latest.generation > generation:
                raise Fenced(self.bucket.place, latest.host)
            try:
                if latest is not None:
                    return self._swap(replace(latest, generation=generation))
                first = Latest(secrets.token_hex(8), 0, None, generation, datetime.now(UTC), self.host)
                self._etag = self.bucket.create(LATEST, _text(first))
            except (ConditionFailed, Fenced):  # the former holder's last push
                continue
            return first

    def read_state(self, latest: Latest) -> RemoteState:
        """Return all files after the newest commit."""
        state = RemoteState()
        if latest.list_name is not None:
            state = self._read_list(latest.list_name)
        for commit in self.commits(state.commit, latest.commit):
            state.apply(commit)
        return state

    def read_state_at(self, latest: Latest, number: int) -> RemoteState:
        """Return all files after commit `number`."""
        lists = [
            (int(name.name.split("/")[1].split("-")[0]), name.name) for name in self.bucket.list("lists/")
        ]
        state = RemoteState()
        if earlier := [name for commit, name in lists if commit <= number]:
            state = self._read_list(max(earlier))
        for commit in self.commits(state.commit, min(number, latest.commit)):
            state.apply(commit)
        return state

    def commits(self, after: int, last: int) -> Iterator[Commit]:
        """Yield the commits after number `after`, up to `last`. Raises UnreadableRemote if one is missing."""
        if last <= after:
            return
        names: dict[int, str] = {}
        for listed in self.bucket.list("commits/", after=commit_name(after, 99_999_999)):
            number = _number(listed.name)
            if number > last:
                break
            names[number] = listed.name  # in order of names: the highest generation is the last
        expected = range(after + 1, last + 1)
        for number in expected:
            if number not in names:
                raise UnreadableRemote(commit_name(number, 0), "the commit is missing")
        yield from self.pool.map(self._read_commit, [names[number] for number in expected])

    def commit_before(self, latest: Latest, at: datetime) -> int:
        """Return the number of the last commit at or before a time; 0 if there is none."""
        low, high = 0, latest.commit
        while low < high:
            middle = (low + high + 1) // 2
            [commit] = self.commits(middle - 1, middle)
            low, high = (middle, high) if commit.at <= at else (low, middle - 1)
        return low

    def append(
        self,
        latest: Latest,
        run: str,
        files: Iterable[RemoteFile] = (),
        removed: Iterable[str] = (),
        texts: Mapping[str, str] | None = None,
        **changes: object,
    ) -> tuple[Latest, Commit]:
        """Append a commit and return the new `latest.json`. Raises Fenced; then nothing was changed.

        If an earlier attempt of this generation created the commit, that commit becomes the next one; the
        caller compares the result with what it wanted.
        """
        now = datetime.now(UTC)
        commit = Commit(
            latest.commit + 1, latest.commit_name, self.generation, now, self.host, run, tuple(files),
            tuple(removed), dict(texts or {}),
        )  # fmt: skip
        try:
            self.bucket.create(commit.name, _text(commit))
        except ConditionFailed:
            commit = self._read_commit(commit.name)
        return self.update(
            replace(latest, commit=commit.number, commit_name=commit.name, at=commit.at), **changes
        ), commit

    def update(self, latest: Latest, **changes: object) -> Latest:
        """Replace `latest.json`. Raises Fenced."""
        return self._swap(replace(latest, generation=self.generation, host=self.host, **changes))  # type: ignore[arg-type]  # fields

    def write_list(self, state: RemoteState) -> str:
        """Store a list of all files, and return its name."""
        name = f"lists/{state.commit:010d}-{self.generation:08d}.json.zst"
        self.bucket.write(name, zstandard.compress(_text(state)))
        return name

    def _swap(self, latest: Latest) -> Latest:
        changed = replace(latest, nonce=secrets.token_hex(8))
        while True:
            try:
                self._etag = self.bucket.swap(LATEST, _text(changed), self._etag)
                return changed
            except ConditionFailed as error:
                found = self.read_latest()
                if found is None or found.generation != self.generation:
                    by = "?" if found is None else f"{found.host}, generation {found.generation}"
                    raise Fenced(self.bucket.place, by) from error
                # an earlier attempt of this instance succeeded, and its answer was lost

    def _read_list(self, name: str) -> RemoteState:
        try:
            return _parse(RemoteState, name, zstandard.decompress(self._read(name)))
        except zstandard.ZstdError as error:
            raise UnreadableRemote(name, str(error)) from error

    def _read_commit(self, name: str) -> Commit:
        return _parse(Commit, name, self._read(name))

    def _read(self, name: str) -> bytes:
        found = self.bucket.read(name)
        if found is None:
            raise UnreadableRemote(name, "it is missing")
        return found.data


def _number(name: str) -> int:
    return int(name.partition("/")[2].partition("-")[0])


def _text(value: Latest | Commit | RemoteState) -> bytes:
    return json.dumps(asdict(value), ensure_ascii=False, default=datetime.isoformat).encode()


def _parse(kind: type[T], name: str, data: bytes) -> T:
    try:
        value = TypeAdapter(kind).validate_json(data)
    except ValidationError as error:
        raise UnreadableRemote(name, first_problem(error)) from error
    version = getattr(value, "version", None)
    if version != VERSION:
        raise UnreadableRemote(name, f"it has version {version}, this derlem reads version {VERSION}")
    return value
