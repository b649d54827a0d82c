"""What can go wrong, as types: each carries its facts as attributes and the exit code of the command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class DerlemError(Exception):
    """Base of every error that is meant for the user; `exit_code` is what the command returns."""

    exit_code = 1


def chain(error: BaseException) -> Iterator[BaseException]:
    """An error, what it stems from, what that stems from, and so on."""
    seen: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in seen:  # an error may be raised from itself
        yield link
        seen.append(link)
        link = link.__cause__ or link.__context__


def first_problem(error: ValidationError) -> str:
    """The first thing that pydantic found wrong, and where."""
    found = error.errors()[0]
    where = ".".join(map(str, found["loc"]))
    return f"{where}: {found['msg']}" if where else found["msg"]


class ConfigError(DerlemError):
    """The declaration is wrong: a bad key, a missing path, an impossible template.

    `key` is the dotted path in the configuration, `file` and `line` (from 1) where it stands, if known.
    """

    exit_code = 2

    def __init__(self, message: str, *, key: str = "", file: Path | str | None = None, line: int = 0) -> None:
        self.message, self.key, self.file, self.line = message, key, file, line
        where = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        super().__init__(f"{where}{key + ': ' if key else ''}{message}")


class InstanceRunning(DerlemError):
    """Another process holds the workspace's lock; `holder` names it."""

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
    """The catalog is there and cannot be opened, or not be read; the message is the database's."""

    def __init__(self, path: Path, why: str) -> None:
        self.path, self.why = path, why
        super().__init__(
            f"the catalog cannot be read: {why.rstrip('.!')}. "
            f"If it is damaged, `derlem catalog rebuild` makes it anew from the segments"
        )


class CatalogMissing(DerlemError):
    """There is no catalog yet."""

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
    """A query of the user's failed; the message is the database's."""

    exit_code = 2


class NoAudits(DerlemError):
    """An audit run that would have checked nothing."""


class MissingExtra(DerlemError):
    """An optional dependency is not installed; the message is the command that installs it."""

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        self.feature, self.extra = feature, extra
        super().__init__(f"{feature} needs an optional part: pip install 'derlem[{extra}]'")


class UnknownManifest(DerlemError):
    """No manifest of this name is stored; `known` are those that are."""

    exit_code = 2

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.name, self.known = name, tuple(known)
        there = ", ".join(known) if known else "none has been drawn yet"
        super().__init__(f"there is no manifest {name!r} in the catalog; known: {there}")
