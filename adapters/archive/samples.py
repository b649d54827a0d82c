"""Assigns sidecars to members of an archive: by file names, or by the keys of WebDataset samples."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from math import inf
from typing import NamedTuple

from ...catalog.status import Reason
from ..captions import MAX_SIDECAR, Sidecars
from .members import Member
from .streams import Stream
from .webdataset import PairingCounts, gather, paired, sidecars_of


class Described(NamedTuple):
    """A member that becomes an item, and its sidecars by kind (lower-case suffix without its dot)."""

    member: Member
    sidecars: tuple[tuple[str, Member], ...] = ()


def keeping(
    members: Iterable[Member], stream: Stream, suffixes: Collection[str], most: float = inf
) -> Iterator[Member]:
    """Yield members of a one-pass archive, with the content of members with one of the `suffixes`.

    Content beyond `most` bytes in total is not kept, since some callers keep all members in memory.
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


def alone(members: Iterable[Member], counts: PairingCounts | None = None) -> Iterator[Described]:
    """Yield every member as a separate item; `counts` counts texts that could not be paired."""
    if counts is None:
        yield from map(Described, members)
        return
    for sample in paired(members):
        counts.add(sample)
        yield from (Described(part.member) for part in sample.parts)


def beside(members: Iterable[Member], suffix: str) -> Iterator[Described]:
    """Yield members with their sidecars, by the rule for files; all members are in memory."""
    gathered, problem = gather(members)
    sound = {member.name: member for member in gathered if member.reason is None}
    sidecars = Sidecars(suffix, sound)
    for member in gathered:
        if member.reason is not None:
            yield Described(member)
        elif not sidecars.taken(member.name):
            found = sidecars.of(member.name)
            yield Described(member, ((suffix[1:].lower(), sound[found]),) if found else ())
    if problem:
        raise problem


def grouped(members: Iterable[Member], extra: Collection[str], counts: PairingCounts) -> Iterator[Described]:
    """Yield the parts of WebDataset samples, each with its sidecars.

    A sample with only sidecars is one item with the reason no_image.
    """
    for sample in paired(members):
        counts.add(sample, extra)
        sidecars, others = sample.split(extra)
        if not others:
            detail = f"a sample with only {', '.join(part.suffix for part in sample.parts)}"
            yield Described(sample.parts[0].member._replace(reason=Reason.NO_IMAGE, detail=detail))
        for part in others:
            sound = part.member.reason is None and sample.key is not None
            found = sidecars_of(part, sidecars) if sound else {}
            yield Described(part.member, tuple(found.items()))
