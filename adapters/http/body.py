"""Reads response bodies piece by piece: within their limits, unpacked safely, resumable."""

from __future__ import annotations

import asyncio
import re
import zlib
from collections import deque
from dataclasses import dataclass, field

from multidict import CIMultiDictProxy

from ...catalog.models import Failure
from ...catalog.status import Reason
from ...core.sniff import HEAD, UNKNOWN, media_type
from .connections import Response

RESUMABLE = 256 * 1024
"""Bytes that are worth resuming after; less is fetched again from the start."""

LARGE = 2**20
"""Bytes from which a body's memory is accounted for."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(slots=True)
class Partial:
    """The beginning of a body whose transfer broke off, and the validator that the rest must match."""

    validator: str
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0


class BodyError(Exception):
    """A body that is not wanted, or not possible; carries its failure."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.detail)


async def read_body(
    response: Response,
    limit: int,
    accept: tuple[str, ...],
    begun: Partial | None,
    large: MemorySemaphore,
    *,
    clip: bool = False,
) -> bytes:
    """The body of a 200 or 206 response, unpacked.

    It is given up at the first bytes if they are of a known type that starts with none of `accept`, and
    as soon as it exceeds `limit` bytes, packed or unpacked (with `clip`, it ends there). What has come in
    when the connection breaks is left in `begun`. Raises BodyError and what the connection raises.
    """
    announced = response.length
    already = begun.size if begun is not None else 0
    if announced is not None and announced + already > limit and not clip:
        raise BodyError(_too_large(f"{announced + already} bytes announced", limit))
    unpacker = Unpacker.of(response.headers.get("Content-Encoding"), limit)
    pieces: list[bytes] = begun.pieces if begun is not None else []
    size = already
    head: bytes | None = b"" if accept and not already else None
    reserved = 0
    readany = response.content.readany
    try:
        while piece := await readany():
            if unpacker is not None:
                piece = unpacker.feed(piece)
            pieces.append(piece)
            size += len(piece)
            if begun is not None:
                begun.size = size
            if size > limit:
                if clip:
                    response.close()
                    return b"".join(pieces)[:limit]
                raise BodyError(_too_large("the body goes on", limit))
            if head is not None:
                head += piece[:HEAD]
                if len(head) >= HEAD:
                    check_type(head, accept)
                    head = None
            if size > LARGE and not reserved:
                reserved = await large.enter(announced + already if announced and not unpacker else limit)
        if unpacker is not None:
            unpacker.finish()
        if head is not None:
            check_type(head, accept)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    finally:
        if reserved:
            large.leave(reserved)


def check_type(head: bytes, accept: tuple[str, ...]) -> None:
    """BodyError if bytes that begin with `head` are known to be something else than is wanted."""
    if not head:
        raise BodyError(Failure(Reason.EMPTY, "a body of no bytes"))
    found = media_type(head)
    if found != UNKNOWN and not found.startswith(accept):
        raise BodyError(Failure(Reason.NOT_IMAGE, f"the bytes are {found}", {"fetched_type": found}))


def resume_headers(begun: Partial) -> dict[str, str]:
    """Request headers that ask for the rest (RFC 9110, sections 13.1.5 and 14.2)."""
    return {"Range": f"bytes={begun.size}-", "If-Range": begun.validator}


def continues(headers: CIMultiDictProxy[str], begun: Partial) -> bool:
    """Whether a 206 response goes on where `begun` ended."""
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == begun.size


def is_whole(headers: CIMultiDictProxy[str]) -> bool:
    """Whether an unrequested 206 response holds all of a body."""
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    return match is not None and match[1] == "0" and match[3].isdigit() and int(match[2]) + 1 == int(match[3])


def resumable(headers: CIMultiDictProxy[str]) -> Partial | None:
    """A place for a body that can be resumed: the server takes ranges, and names the version.

    Only a strong validator will do, or a modification date.
    """
    if headers.get("Accept-Ranges", "").lower() != "bytes" or "Content-Encoding" in headers:
        return None
    etag = headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    return Partial(validator) if validator else None


class MemorySemaphore:
    """Bounds the memory of large bodies under way: they wait for each other, first come, first served."""

    def __init__(self, room: int = 256 * 2**20) -> None:
        """`room` is in bytes; a body that is larger goes in alone."""
        self._room, self._taken = room, 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, size: int) -> int:
        """Wait until there is room for `size` bytes; returns what to give back to `leave`."""
        if self._waiting or (self._taken and self._taken + size > self._room):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((size, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self.leave(size)
                raise
        else:
            self._taken += size
        return size

    def leave(self, size: int) -> None:
        """Make room."""
        self._taken -= size
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if self._taken and self._taken + size > self._room:
                    return
                self._taken += size
                turn.set_result(None)
            self._waiting.popleft()


_WINDOWS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}
"""What zlib calls the content codings that are asked for."""


class Unpacker:
    """Undoes gzip or deflate, as far as the limit; then, if codings were listed, the `inner` one."""

    def __init__(self, limit: int, window: int, inner: Unpacker | None = None) -> None:
        self._limit, self._window, self._inner = limit, window, inner
        self._made = 0
        self._raw: zlib._Decompress = zlib.decompressobj(window)
        self._begun = False

    @classmethod
    def of(cls, coding: str | None, limit: int) -> Unpacker | None:
        """The unpacker for a Content-Encoding; None where it names no coding that was requested."""
        inner: Unpacker | None = None
        for name in (coding or "").lower().split(","):
            window = _WINDOWS.get(name.strip())
            if window is not None:
                inner = cls(limit, window, inner)
        return inner

    def feed(self, data: bytes) -> bytes:
        """What the next piece unpacks to; BodyError if that is over the limit or makes no sense."""
        made = []
        while data:
            try:
                piece = self._raw.decompress(data, self._limit - self._made + 1)
            except zlib.error as error:
                if not self._begun and self._window == zlib.MAX_WBITS:
                    self._window = -zlib.MAX_WBITS  # "deflate" without its zlib header is common
                    self._raw = zlib.decompressobj(self._window)
                    continue
                raise BodyError(Failure(Reason.PROTOCOL, f"content coding: {error}")) from error
            self._begun = True
            made.append(piece)
            self._made += len(piece)
            if self._made > self._limit:
                raise BodyError(_too_large("it unpacks to more", self._limit))
            data = self._raw.unconsumed_tail
            if self._raw.eof:
                data = self._raw.unused_data
                if not data.startswith(b"\x1f\x8b"):
                    break  # padding after the last gzip member
                self._raw = zlib.decompressobj(self._window)
        unpacked = b"".join(made)
        return self._inner.feed(unpacked) if self._inner is not None else unpacked

    def finish(self) -> None:
        """BodyError unless the packed stream has come to its end."""
        if self._begun and not self._raw.eof:
            raise BodyError(Failure(Reason.BODY_TRUNCATED, "the packed body ends early"))
        if self._inner is not None:
            self._inner.finish()


def _too_large(what: str, limit: int) -> Failure:
    return Failure(Reason.BODY_TOO_LARGE, f"{what}; at most {limit} bytes are taken")
