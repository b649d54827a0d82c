"""Which members of an archive belong together: an image and the small files that speak of it."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator
from math import inf
from typing import NamedTuple

from ...catalog.status import Reason
from ..captions import MAX_SIDECAR, Sidecars
from .members import ArchiveError, Member
from .streams import Stream

WEBDATASET_SIDECARS = frozenset({"txt", "json", "cls"})
"""Suffixes of the parts of a WebDataset sample that speak of its images."""

_PEEK = 64
_MAX_PARTS = 64


class _Part(NamedTuple):
    key: str | None
    suffix: str
    member: Member


class Sample(NamedTuple):
    """A member that becomes an item, and its sidecars by suffix (lower case, no dot)."""

    member: Member
    sidecars: tuple[tuple[str, Member], ...] = ()


def keeping(
    members: Iterable[Member], stream: Stream, suffixes: Collection[str], most: float = inf
) -> Iterator[Member]:
    """Members of a one-pass archive, those with one of the `suffixes` with their content.

    What goes beyond `most` bytes together is not kept: for callers that hold on to all members.
    """
    endings = tuple(f".{suffix}" for suffix in suffixes)
    kept = 0
    for member in members:
        size = member.place.size
        small = member.reason is None and size <= MAX_SIDECAR and kept + size <= most
        if small and member.name.lower().endswith(endings):
            member = member._replace(content=stream.take(size))
            kept += size
        yield member


def alone(members: Iterable[Member]) -> Iterator[Sample]:
    """Every member for itself."""
    return map(Sample, members)


def beside(members: Iterable[Member], suffix: str) -> Iterator[Sample]:
    """Members with the sidecars that stand beside them, by the rule for files; all are held in memory."""
    held, problem = _gather(members)
    sound = {member.name: member for member in held if member.reason is None}
    sidecars = Sidecars(suffix, sound)
    for member in held:
        if member.reason is not None:
            yield Sample(member)
        elif not sidecars.taken(member.name):
            found = sidecars.of(member.name)
            yield Sample(member, ((suffix[1:].lower(), sound[found]),) if found else ())
    if problem:
        raise problem


def grouped(members: Iterable[Member], suffixes: Collection[str]) -> Iterator[Sample]:
    """WebDataset samples: neighbours that share a key are one, and its sidecars speak of all its images."""
    for key, parts in itertools.groupby(map(_part, members), key=lambda part: part.key):
        if key is None:
            yield from alone(part.member for part in parts)
            continue
        while group := list(itertools.islice(parts, _MAX_PARTS)):
            yield from _sample(group, suffixes)


def looks_grouped(members: Iterator[Member]) -> tuple[bool, Iterator[Member]]:
    """Whether the members look like WebDataset samples, and the members again.

    They do when each of the first ones has a key and belongs to an image with a sidecar.
    """
    peeked, problem = _gather(itertools.islice(members, _PEEK))
    groups = [
        (key, {part.suffix for part in parts})
        for key, parts in itertools.groupby(map(_part, peeked), key=lambda part: part.key)
    ]
    if len(groups) > 1 and len(peeked) == _PEEK:
        groups.pop()  # its other parts may be yet to come
    fits = all(
        key is not None and suffixes & WEBDATASET_SIDECARS and suffixes - WEBDATASET_SIDECARS
        for key, suffixes in groups
    )
    return bool(groups) and fits, itertools.chain(peeked, _failing(problem) if problem else members)


def _gather(members: Iterable[Member]) -> tuple[list[Member], ArchiveError | None]:
    """All members that can be had, and what kept the others away: those that were had must land."""
    gathered: list[Member] = []
    try:
        gathered.extend(members)
    except ArchiveError as problem:
        return gathered, problem
    return gathered, None


def _failing(problem: ArchiveError) -> Iterator[Member]:
    raise problem
    yield


def _sample(parts: list[_Part], suffixes: Collection[str]) -> Iterator[Sample]:
    """The items of one sample; one without any image is an item that says so."""
    sidecars: dict[str, Member] = {}
    others = []
    for _, suffix, member in parts:
        if member.reason is None and suffix in suffixes and suffix not in sidecars:
            sidecars[suffix] = member
        else:
            others.append(member)
    if not others:
        detail = f"a sample of nothing but {', '.join(sidecars)}"
        yield Sample(parts[0].member._replace(reason=Reason.NO_IMAGE, detail=detail))
    for other in others:
        yield Sample(other, tuple(sidecars.items()) if other.reason is None else ())


def _part(member: Member) -> _Part:
    """Split a name as WebDataset does: at the first dot of its last step; without one there is no key."""
    folder, slash, base = member.name.rpartition("/")
    key, dot, suffix = base.partition(".")
    return _Part(f"{folder}{slash}{key}", suffix.lower(), member) if key and dot else _Part(None, "", member)
