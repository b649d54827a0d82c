"""The members that an archive lists, and the checks that every member passes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from pydantic import ByteSize, Field

from ...catalog.status import Reason
from ...core.options import StrictModel
from ..names import escape, repeated

_UNSAFE = re.compile(r"[/\\]|[A-Za-z]:|(?:.*[/\\])?\.\.(?:[/\\]|$)|.*\0", re.DOTALL)


class ArchiveLimits(StrictModel):
    """How much an archive may ask for. What is beyond is rejected; what came before it lands."""

    member_bytes: ByteSize = Field(
        default=ByteSize(512 * 2**20), description="larger members are rejected unread (too_many_bytes)"
    )
    archive_bytes: ByteSize = Field(
        default=ByteSize(2**40), description="an archive's content, unpacked (archive_bomb beyond)"
    )
    ratio: int = Field(
        default=200,
        gt=0,
        description="unpacked bytes per packed byte, of a zip's member over 16 MiB or of a compressed tar "
        "after its first 64 MiB (archive_bomb beyond)",
    )
    members: int = Field(default=2_000_000, gt=0, description="entries of one archive (archive_bomb beyond)")


class ArchiveError(Exception):
    """An archive that cannot be read on; `reason` is what its item gets."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class Place(NamedTuple):
    """Where a member's bytes are, in its archive: all that is needed to read it, as numbers.

    Tar: `at` is the first byte of the data, `check` the CRC-32 of the header block before it.
    Zip: `at` is the local header, `check` the CRC-32 of the data; `packed` bytes by `method`.
    """

    at: int
    size: int
    check: int
    packed: int = 0
    method: int = 0


class Member(NamedTuple):
    """One entry of an archive that is not a directory. A member with a `reason` will not be read.

    `name` is as the archive spells it, bytes that are no characters as surrogate escapes; `validated`
    makes it readable and unique. `content` is the data of a small member that was met in passing.
    """

    name: str
    place: Place
    reason: Reason | None = None
    detail: str = ""
    content: bytes | None = None


def validated(members: Iterator[Member], limits: ArchiveLimits) -> Iterator[Member]:
    """Members with readable, unique names; those with unsafe or repeated names or too many bytes marked.

    The first of several members with one name is the one that counts. ArchiveError when the archive
    holds more entries than the limit.
    """
    seen = {""}  # a member without a name must not pass for the archive itself
    times: dict[str, int] = {}
    for count, (name, place, reason, detail, _) in enumerate(members):
        if count >= limits.members:
            raise ArchiveError(Reason.ARCHIVE_BOMB, f"more than {limits.members} entries (limits.members)")
        text = escape(name)
        if reason is None:
            if _UNSAFE.match(name):
                reason, detail = Reason.UNSAFE_PATH, "absolute, or leads out of the archive"
            elif place.size > limits.member_bytes:
                reason = Reason.TOO_MANY_BYTES
                detail = f"{place.size} bytes, of at most {limits.member_bytes} (limits.member_bytes)"
        if text in seen:
            times[text] = times.get(text, 1) + 1
            text = repeated(text, times[text])
            if reason is None:
                reason, detail = Reason.DUPLICATE_NAME, "an earlier member has this name"
        else:
            seen.add(text)
        yield Member(text, place, reason, detail)
