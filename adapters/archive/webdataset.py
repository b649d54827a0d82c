"""Pairs the members of a tar to samples as the `webdataset` library does: one reader for every adapter.

A member's key is its path up to the first dot of its last step; what follows, in lower case, is its suffix.
Members that follow each other with one key are one sample. Members without a key (no dot, `__meta__` names,
hidden names such as the `._` files of macOS) belong to no sample and end none.
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
"""Suffixes of parts that hold a caption as plain text."""

CLASSES = frozenset({"cls", "cls2", "index", "inx", "id"})
"""Suffixes of parts that hold a number."""

OBJECTS = frozenset({"json", "jsn"})
"""Suffixes of parts that hold an object in JSON."""

SIDECARS = CAPTIONS | CLASSES | OBJECTS
"""Suffixes of the parts of a sample that describe its images."""

MAX_PARTS = 1000
"""Members in one sample; further ones with the same key begin another."""

_PEEK = 64
_META = re.compile(r"__[^/]*__(?:$|/)")


class Part(NamedTuple):
    """A member of a sample: `suffix` is lower case and without its first dot, such as `jpg` or `left.jpg`."""

    suffix: str
    member: Member


class Sidecar(NamedTuple):
    """A part that describes images: all of its sample, or with a `stem` those whose suffix begins so.

    `left.txt` has the stem `left` and the kind `txt`.
    """

    stem: str
    kind: str
    member: Member


class Sample(NamedTuple):
    """Neighbouring members that share a key, in the order of the tar; a member without one has None."""

    key: str | None
    parts: tuple[Part, ...]

    def split(self, extra: Collection[str] = ()) -> tuple[list[Sidecar], list[Part]]:
        """The sound parts that describe images, and all others; `extra` are further suffixes of sidecars."""
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
    """The sidecars of one image by kind; one with a longer stem comes before the sample's own."""
    found: dict[str, Member] = {}
    for sidecar in sorted(sidecars, key=lambda sidecar: -len(sidecar.stem)):
        if not sidecar.stem or part.suffix.startswith(f"{sidecar.stem}."):
            found.setdefault(sidecar.kind, sidecar.member)
    return found


def split_name(name: str) -> tuple[str, str] | None:
    """Key and suffix of a member's name, None if it has no key."""
    folder, slash, base = name.rpartition("/")
    stem, dot, suffix = base.partition(".")
    if not stem or not dot or _META.match(name):
        return None
    return f"{folder}{slash}{stem}", suffix.lower()


def paired(members: Iterable[Member]) -> Iterator[Sample]:
    """All members as samples, in order. Of two parts with one suffix the first counts.

    A member without a key follows the sample that it lies in.
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
        yield from open_sample.close()  # the sample before the damage is sound as far as it goes
        raise
    yield from open_sample.close()


class _OpenSample:
    """A sample whose members still come."""

    def __init__(self) -> None:
        self.key: str | None = None
        self.parts: list[Part] = []
        self.keyless: list[Member] = []
        self._suffixes: set[str] = set()

    def ends_before(self, named: tuple[str, str] | None) -> bool:
        """Whether a member with this key and suffix, or without any, cannot be added."""
        if named is None:
            return len(self.keyless) == MAX_PARTS
        return named[0] != self.key or len(self.parts) == MAX_PARTS

    def add(self, key: str, suffix: str, member: Member) -> None:
        """Take a member in; one with a suffix that is there is marked as a duplicate."""
        self.key = key
        if member.reason is None and suffix in self._suffixes:
            detail = f"the sample {key} has another part {suffix}"
            member = member._replace(reason=Reason.DUPLICATE_NAME, detail=detail)
        elif member.reason is None:
            self._suffixes.add(suffix)
        self.parts.append(Part(suffix, member))

    def close(self) -> Iterator[Sample]:
        """The sample, and the members without a key that lie in it."""
        if self.parts:
            yield Sample(self.key, tuple(self.parts))
        for member in self.keyless:
            yield Sample(None, (Part("", member),))
        self.key, self.parts, self.keyless, self._suffixes = None, [], [], set()


def looks_paired(members: Iterator[Member]) -> tuple[bool, Iterator[Member]]:
    """Whether a tar looks like WebDataset, and its members again.

    It does when an image and a text are neighbours with one key among the first members.
    """
    peeked, problem = gather(itertools.islice(members, _PEEK))
    fits = False
    for sample in paired(peeked):
        sidecars, others = sample.split()
        fits = fits or bool(sidecars and any(part.member.reason is None for part in others))
    return fits, itertools.chain(peeked, _failing(problem) if problem else members)


def gather(members: Iterable[Member]) -> tuple[list[Member], ArchiveError | None]:
    """The members up to the first damage, and the damage."""
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
    """What the tars of one source hold that belongs to no sample with an image."""

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
        """Report what could not be paired, in one warning; nothing if all was."""
        found = []
        if self.lone_texts:
            found.append(
                f"{self.lone_texts:,} texts without an image beside them ({self.example}); "
                "`caption: {sidecar: .txt}` of the archive adapter pairs members that are no neighbours"
            )
        if self.captionless and (self.captioned or self.lone_texts):
            found.append(f"{self.captionless:,} images without a text")
        if self.keyless:
            found.append(f"{self.keyless:,} members without a key")
        if self.duplicates:
            found.append(f"{self.duplicates:,} members with a name that the sample has already")
        if found:
            log.warning("%s: not paired to samples: %s", source, "; ".join(found))
