"""Groups the members of a tar to samples, like the `webdataset` library; used by all adapters.

A member's key is its path up to the first dot of its last step; its suffix is the rest, in lower case.
Consecutive members with one key are one sample. Members without a key (no dot, `__meta__` names, hidden
names such as the `._` files of macOS) neither belong to a sample nor end a sample.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from ...catalog.status import Reason
from .members import ArchiveError, Member

CAPTIONS = frozenset({"txt", "text", "transcript", "caption"})
"""Suffixes of captions in plain text."""

CLASSES = frozenset({"cls", "cls2", "index", "inx", "id"})
"""Suffixes of numbers."""

OBJECTS = frozenset({"json", "jsn"})
"""Suffixes of JSON objects."""

SIDECARS = CAPTIONS | CLASSES | OBJECTS
"""Suffixes of parts that describe the images of a sample."""

MAX_PARTS = 1000
"""Maximum members of a sample; further members with the same key begin another sample."""

_PEEK = 64
_META = re.compile(r"__[^/]*__(?:$|/)")


class Part(NamedTuple):
    """A member of a sample; `suffix` is lower case without its first dot, such as `jpg` or `left.jpg`."""

    suffix: str
    member: Member


class Sidecar(NamedTuple):
    """A part that describes all images of its sample, or images whose suffix begins with `stem`.

    `left.txt` has the stem `left` and the kind `txt`.
    """

    stem: str
    kind: str
    member: Member


class Sample(NamedTuple):
    """Consecutive members that share a key, in the order of the tar; the key of a keyless member is None."""

    key: str | None
    parts: tuple[Part, ...]

    def split(self, extra: Collection[str] = ()) -> tuple[list[Sidecar], list[Part]]:
        """Return readable sidecars, and all other parts; `extra` are additional suffixes of sidecars."""
        sidecars, others = [], []
        for part in self.parts:
            sidecar = _sidecar(part, extra) if self.key is not None and part.member.reason is None else None
            if sidecar is None:
                others.append(part)
            else:
                sidecars.append(sidecar)
        return sidecars, others


def _sidecar(part: Part, extra: Collection[str]) -> Sidecar | None:
    for kind in (*extra, part.suffix.rpartition(".")[2]):
        known = kind in extra or kind in SIDECARS
        if known and (part.suffix == kind or part.suffix.endswith(f".{kind}")):
            return Sidecar(part.suffix[: -len(kind)].rstrip("."), kind, part.member)
    return None


def sidecars_of(part: Part, sidecars: Iterable[Sidecar]) -> dict[str, Member]:
    """Return the sidecars of one image by kind; the longest matching stem has priority."""
    found: dict[str, Member] = {}
    for sidecar in sorted(sidecars, key=lambda sidecar: -len(sidecar.stem)):
        if not sidecar.stem or part.suffix.startswith(f"{sidecar.stem}."):
            found.setdefault(sidecar.kind, sidecar.member)
    return found


def split_name(name: str) -> tuple[str, str] | None:
    """Return the key and suffix of a member's name, or None without a key."""
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    if not stem or not dot or _META.match(name):
        return None
    return f"{folder}{slash}{stem}", suffix.lower()


def paired(members: Iterable[Member]) -> Iterator[Sample]:
    """Yield all members as samples, in order. Of two parts with one suffix, the first is used.

    A member without a key follows the sample around it.
    """
    open_sample = _OpenSample()
    try:
        for member in members:
            named = split_name(member.name)
            if named is None:
                open_sample.keyless.append(member)
            if open_sample.ends_before(named):
                yield from open_sample.close()
            if named is not None:
                open_sample.add(*named, member)
    except ArchiveError:
        yield from open_sample.close()  # the parts before the damage are readable
        raise
    yield from open_sample.close()


class _OpenSample:
    """A sample that is not complete yet."""

    def __init__(self) -> None:
        self.key: str | None = None
        self.parts: list[Part] = []
        self.keyless: list[Member] = []
        self._suffixes: set[str] = set()

    def ends_before(self, named: tuple[str, str] | None) -> bool:
        """Return whether the sample ends before a member with this key and suffix (None: keyless)."""
        if named is None:
            return len(self.keyless) == MAX_PARTS
        return named[0] != self.key or len(self.parts) == MAX_PARTS

    def add(self, key: str, suffix: str, member: Member) -> None:
        """Add a member; mark a member with a repeated suffix as a duplicate."""
        self.key = key
        if member.reason is None and suffix in self._suffixes:
            detail = f"the sample {key} has another part {suffix}"
            member = member._replace(reason=Reason.DUPLICATE_NAME, detail=detail)
        elif member.reason is None:
            self._suffixes.add(suffix)
        self.parts.append(Part(suffix, member))

    def close(self) -> Iterator[Sample]:
        """Yield the sample, then the keyless members inside it."""
        if self.parts:
            yield Sample(self.key, tuple(self.parts))
        for member in self.keyless:
            yield Sample(None, (Part("", member),))
        self.key, self.parts, self.keyless, self._suffixes = None, [], [], set()


def looks_paired(members: Iterator[Member]) -> tuple[bool, Iterator[Member]]:
    """Return whether a tar looks like WebDataset, and an iterator over all of its members.

    A tar looks like WebDataset if an image and a text with one key are adjacent among the first members.
    """
    peeked, problem = gather(itertools.islice(members, _PEEK))
    fits = False
    for sample in paired(peeked):
        sidecars, others = sample.split()
        fits = fits or bool(sidecars and any(part.member.reason is None for part in others))
    return fits, itertools.chain(peeked, _failing(problem) if problem else members)


def gather(members: Iterable[Member]) -> tuple[list[Member], ArchiveError | None]:
    """Return the members up to the first damage, and the error or None."""
    gathered: list[Member] = []
    try:
        gathered.extend(members)
    except ArchiveError as problem:
        return gathered, problem
    return gathered, None


def _failing(problem: ArchiveError) -> Iterator[Member]:
    raise problem
    yield


@dataclass(slots=True)
class PairingCounts:
    """Counts members of a source's tars that do not belong to a sample with an image."""

    lone_texts: int = 0
    keyless: int = 0
    duplicates: int = 0
    captionless: int = 0
    captioned: int = 0
    example: str = ""

    def add(self, sample: Sample, extra: Collection[str] = ()) -> None:
        """Count a sample."""
        if sample.key is None:
            self.keyless += 1
            return
        texts, others = sample.split(extra)
        sound = [part for part in others if part.member.reason is None]
        if texts and not others:
            self.lone_texts += 1
            self.example = self.example or sample.parts[0].member.name
        if sound and texts:
            self.captioned += 1
        elif sound:
            self.captionless += 1
        self.duplicates += sum(part.member.reason is Reason.DUPLICATE_NAME for part in sample.parts)

    def warn(self, source: str, log: logging.Logger) -> None:
        """Log one warning with the counts of unpaired members, if any."""
        found = []
        if self.lone_texts:
            found.append(
                f"{self.lone_texts:,} texts without an adjacent image ({self.example}); "
                "`caption: {sidecar: .txt}` of the archive adapter pairs members that are not adjacent"
            )
        if self.captionless and (self.captioned or self.lone_texts):
            found.append(f"{self.captionless:,} images without a text")
        if self.keyless:
            found.append(f"{self.keyless:,} members without a key")
        if self.duplicates:
            found.append(f"{self.duplicates:,} members with a repeated name in their sample")
        if found:
            log.warning("%s: not paired to samples: %s", source, "; ".join(found))
