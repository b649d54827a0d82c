"""Members of an archive, the limits of an archive, and the checks of every member."""

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
    """Limits of an archive. Members beyond a limit are rejected; members before the limit are stored."""

    member_bytes: ByteSize = Field(
        default=ByteSize(512 * 2**20), description="larger members are rejected (too_many_bytes)"
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
    """An archive that cannot be read further; `reason` is the reason code of its item."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class Place(NamedTuple):
    """Position, size and checksum of a member's bytes in its archive.

    Tar: `at` is the first byte of the data, `check` the CRC-32 of the header block before it.
    Zip: `at` is the local header, `check` the CRC-32 of the data; `packed` bytes by `method`.
    """

    at: int
    size: int
    check: int
    packed: int = 0
    method: int = 0


class Member(NamedTuple):
    """An entry of an archive, other than a directory. A member with a `reason` is not read.

    `name` is the name in the archive, with surrogate escapes for undecodable bytes; `validated` makes
    names readable and unique. `content` is the data of a small member read during the listing.
    """

    name: str
    place: Place
    reason: Reason | None = None
    detail: str = ""
    content: bytes | None = None


def validated(members: Iterator[Member], limits: ArchiveLimits) -> Iterator[Member]:
    """Yield members with readable, unique names; mark unsafe names, repeated names and large members.

    Of several members with one name, only the first is not marked. ArchiveError when the archive has
    more entries than the limit.
    """
    seen = {""}  # the empty name identifies the archive itself
    times: dict[str, int] = {}
    for count, (name, place, reason, detail, _) in enumerate(members):
        if count >= limits.members:
            raise ArchiveError(Reason.ARCHIVE_BOMB, f"more than {limits.members} entries (limits.members)")
        text = escape(name)
        if reason is None:
            if _UNSAFE.match(name):
                reason, detail = Reason.UNSAFE_PATH, "an absolute path, or a path out of the archive"
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
