"""Exceptions for users: each has its facts as attributes, and the exit code of the command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class DerlemError(Exception):
    """Base class of errors for users; `exit_code` is the exit code of the command."""

    exit_code = 1


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, its cause, the cause of its cause, and so on."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:  # an error may be raised from itself
        yield link
        seen.append(link)
        link = link.__cause__ or link.__context__


def first_problem(error: ValidationError) -> str:
    """Return pydantic's first error, with its location."""
    found = error.errors()[0]
    where = ".".join(map(str, found["loc"]))
    return f"{where}: {found['msg']}" if where else found["msg"]


class ConfigError(DerlemError):
    """The configuration is invalid: a wrong key, a missing path, an invalid template.

    `key` is the dotted path in the configuration, `file` and `line` (from 1) its place, if known.
    """

    exit_code = 2

    def __init__(self, message: str, *, key: str = "", file: Path | str | None = None, line: int = 0) -> None:
        self.message, self.key, self.file, self.line = message, key, file, line
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{where}{key + ': ' if key else ''}{message}")


class InstanceRunning(DerlemError):
    """Another process holds the workspace's lock; `holder` describes the process."""

    exit_code = 4

    def __init__(self, holder: dict[str, object]) -> None:
        self.holder = holder
        super().__init__(
            "another instance works here: pid {pid} on {host}, `{command}`, since {since}".format(
                **{k: holder.get(k, "?") for k in ("pid", "host", "command", "since")}
            )
        )


class CatalogBusy(DerlemError):
    """The catalog stayed locked by another process for longer than `waited` seconds."""

    def __init__(self, path: Path, waited: float, holder: str) -> None:
        self.path, self.waited, self.holder = path, waited, holder
        super().__init__(f"the catalog {path} has been in use for {waited:.0f} s by {holder}; try again")


class CatalogUnreadable(DerlemError):
    """The catalog exists but cannot be opened or read; the message comes from the database."""

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(
            f"the catalog cannot be read: {why.rstrip('.!')}. "
            f"If it is damaged, `derlem catalog rebuild` makes it anew from the segments"
        )


class CatalogMemory(DerlemError):
    """A query or a commit needs more memory than DuckDB may use (`limit` bytes; None: the default)."""

    def __init__(self, limit: int | None, temporary: Path, why: str) -> None:
        self.limit, self.temporary, self.why = limit, temporary, why
        bound = f"{limit / 2**20:,.0f} MiB" if limit else "80% of the machine's memory"
        super().__init__(
            f"the catalog needs more memory than `catalog.memory_limit` ({bound}) allows: "
            f"{why.splitlines()[0].rstrip('.')}. Raise `catalog.memory_limit`, or make room for temporary "
            f"files in {temporary}. Nothing that was committed is lost, and the same command goes on"
        )


class CatalogMissing(DerlemError):
    """The catalog does not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"there is no catalog at {path}: `derlem discover` or `derlem run` makes it")


class CatalogVersionError(DerlemError):
    """The catalog was written with another schema version."""

    def __init__(self, path: Path, found: int, expected: int) -> None:
        self.path, self.found, self.expected = path, found, expected
        if found < expected:
            advice = "run `derlem catalog migrate`"
        else:
            advice = "it was written by a newer derlem: upgrade derlem"
        super().__init__(f"{path} has schema version {found}, this derlem works with {expected}: {advice}")


class QueryError(DerlemError):
    """A user's query failed; the message comes from the database."""

    exit_code = 2


class NoAudits(DerlemError):
    """No audit was found or run."""


class MissingExtra(DerlemError):
    """An optional dependency is not installed; the message is the command that installs it."""

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        self.feature, self.extra = feature, extra
        super().__init__(f"{feature} needs an optional part: pip install 'derlem[{extra}]'")


class UnknownManifest(DerlemError):
    """No manifest with this name is stored; `known` are the stored names."""

    exit_code = 2

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name, self.known = name, tuple(known)
        there = ", ".join(known) if known else "none has been drawn yet"
        super().__init__(f"there is no manifest {name!r} in the catalog; known: {there}")
