"""Reads WebDataset tars of a dataset: samples with the values of their fields, and images by place."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from ...catalog.models import Failure
from ...catalog.status import Reason
from ..archive.containers import open_tar
from ..archive.members import ArchiveError, ArchiveLimits, Member, Place, validated
from ..archive.samples import keeping
from ..archive.streams import File
from ..archive.webdataset import CLASSES, OBJECTS, SIDECARS, PairingCounts, Part, Sample, paired, sidecars_of
from ..captions import bad_sidecar, decode
from .dataset_files import FileTrouble

LIMITS = ArchiveLimits()


@dataclass(slots=True)
class TarRow:
    """A sample as a row: values by suffix, and its images by suffix.

    Parts of other kinds have empty bytes in `values`. `own` are values of one image that replace the values
    of the row (`left.txt` for `left.jpg`, as `txt`). `notes` go into `meta`: unreadable sidecars.
    """

    key: str | None
    name: str
    values: dict[str, Any] = field(default_factory=dict)
    images: dict[str, Member] = field(default_factory=dict)
    own: dict[str, dict[str, Any]] = field(default_factory=dict)
    rejected: list[Member] = field(default_factory=list)
    notes: dict[str, Any] = field(default_factory=dict)


class TarFile:
    """A plain or compressed tar. Read ascending places: going back in a compressed tar starts a new pass."""

    def __init__(self, file: Path | IO[bytes]) -> None:
        self._file: File = os.open(file, os.O_RDONLY | os.O_CLOEXEC) if isinstance(file, Path) else file
        try:
            self._tar = open_tar(self._file, LIMITS)
        except ArchiveError as error:
            self.close()
            raise FileTrouble(error.reason, error.detail) from error

    def rows(self, image_kinds: Collection[str], counts: PairingCounts) -> Iterator[TarRow]:
        """Yield all samples in order. `image_kinds` are suffixes of images, or last parts of suffixes.

        Raises FileTrouble if the tar is damaged or truncated, after all samples before the damage.
        """
        members = keeping(validated(self._tar.members(), LIMITS), self._tar.stream, SIDECARS)
        try:
            for sample in paired(members):
                counts.add(sample)
                yield _row(sample, image_kinds)
        except ArchiveError as error:
            raise FileTrouble(error.reason, error.detail) from error

    def read(self, place: Place) -> bytes | Failure:
        """Return the bytes of a member."""
        return next(iter(self._tar.read([place])))

    @property
    def plain(self) -> bool:
        """Whether a place can be read without the preceding data."""
        return not self._tar.one_pass

    def close(self) -> None:
        """Close the tar."""
        if isinstance(self._file, int):
            os.close(self._file)
        else:
            self._file.close()


def _row(sample: Sample, image_kinds: Collection[str]) -> TarRow:
    row = TarRow(sample.key, sample.parts[0].member.name)
    sidecars, others = sample.split()
    suffix_of = {part.member.name: part.suffix for part in sample.parts}
    for sidecar in sidecars:
        name = suffix_of[sidecar.member.name]
        try:
            row.values[name] = _value(sidecar.kind, sidecar.member)
        except (ValueError, RecursionError) as error:
            row.notes |= bad_sidecar(f"{sidecar.member.name}: {error}").meta
    for part in others:
        if part.member.reason is not None or sample.key is None:
            row.rejected.append(part.member)
        elif part.suffix.rpartition(".")[2] not in image_kinds:
            row.values[part.suffix] = b""
        else:
            row.images[part.suffix] = part.member
            row.own[part.suffix] = _own_values(part, sidecars_of(part, sidecars), suffix_of, row.values)
    return row


def _own_values(
    part: Part, sidecars: dict[str, Member], suffix_of: dict[str, str], values: dict[str, Any]
) -> dict[str, Any]:
    """Return the values of sidecars that describe only this image, by the kind of the sidecar."""
    named = {kind: suffix_of[member.name] for kind, member in sidecars.items()}
    return {kind: values[name] for kind, name in named.items() if name != kind and name in values}


def _value(kind: str, member: Member) -> Any:
    """Return the value of a text, number or object; ValueError if invalid."""
    if member.content is None:
        raise ValueError(f"{member.place.size} bytes are too many")
    if len(member.content) < member.place.size:
        raise ValueError("the archive ends inside the member")
    text = decode(member.content)
    if kind in OBJECTS:
        return json.loads(text)
    return int(text) if kind in CLASSES else text


def keyless(member: Member) -> Member:
    """Return a member without a sample, with its reason."""
    if member.reason is not None:
        return member
    return member._replace(reason=Reason.NO_IMAGE, detail=f"{member.name} has no key: it is in no sample")
