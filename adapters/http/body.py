"""Reads response bodies in pieces: bounded, with safe decompression, resumable."""

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
"""Minimum bytes for a resumed transfer; a shorter body is fetched again from the start."""

LARGE = 2**20
"""Minimum size in bytes of bodies that acquire memory from the semaphore."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


@dataclass(slots=True)
class Partial:
    """The start of an interrupted body, and the validator for the rest."""

    validator: str
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0


class BodyError(Exception):
    """A rejected or invalid body; `failure` is its reason."""

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
    """Read the body of a 200 or 206 response and unpack it.

    The body is rejected at the first bytes if their media type is known and starts with none of `accept`,
    and once its size exceeds `limit` bytes, packed or unpacked (with `clip`, the body is truncated
    instead). If the connection fails, `begun` receives the bytes read so far. Raises BodyError and the
    exceptions of the connection.
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
                raise BodyError(_too_large("the body is longer", limit))
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
    """Raise BodyError if the media type of `head` is known and not accepted."""
    if not head:
        raise BodyError(Failure(Reason.EMPTY, "an empty body"))
    found = media_type(head)
    if found != UNKNOWN and not found.startswith(accept):
        raise BodyError(Failure(Reason.NOT_IMAGE, f"the bytes are {found}", {"fetched_type": found}))


def resume_headers(begun: Partial) -> dict[str, str]:
    """Return the request headers for the rest of a body (RFC 9110, sections 13.1.5 and 14.2)."""
    return {"Range": f"bytes={begun.size}-", "If-Range": begun.validator}


def continues(headers: CIMultiDictProxy[str], begun: Partial) -> bool:
    """Return whether a 206 response continues at the end of `begun`."""
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    return match is not None and int(match[1]) == begun.size


def is_whole(headers: CIMultiDictProxy[str]) -> bool:
    """Return whether an unrequested 206 response contains a complete body."""
    match = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    return match is not None and match[1] == "0" and match[3].isdigit() and int(match[2]) + 1 == int(match[3])


def resumable(headers: CIMultiDictProxy[str]) -> Partial | None:
    """Return an empty Begun if the body can be resumed: ranges are supported and a validator is given.

    The validator must be a strong ETag or a modification date.
    """
    if headers.get("Accept-Ranges", "").lower() != "bytes" or "Content-Encoding" in headers:
        return None
    etag = headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
    return Partial(validator) if validator else None


class MemorySemaphore:
    """Bounds the memory of large bodies in transfer; waiting bodies are served in order."""

    def __init__(self, room: int = 256 * 2**20) -> None:
        """`room` is in bytes; a larger body is transferred alone."""
        self._room, self._taken = room, 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, size: int) -> int:
        """Wait for `size` bytes of room; return the number of bytes to pass to `leave`."""
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
        """Release bytes."""
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
"""zlib's window sizes for the requested content codings."""


class Unpacker:
    """Decodes gzip or deflate up to the limit, then the `inner` coding, if any."""

    def __init__(self, limit: int, window: int, inner: Unpacker | None = None) -> None:
        self._limit, self._window, self._inner = limit, window, inner
        self._made = 0
        self._raw: zlib._Decompress = zlib.decompressobj(window)
        self._begun = False

    @classmethod
    def of(cls, coding: str | None, limit: int) -> Unpacker | None:
        """Return the decoder for a Content-Encoding; None if no requested coding is named."""
        inner: Unpacker | None = None
        for name in (coding or "").lower().split(","):
            window = _WINDOWS.get(name.strip())
            if window is not None:
                inner = cls(limit, window, inner)
        return inner

    def feed(self, data: bytes) -> bytes:
        """Decode the next piece; BodyError for invalid data or a size over the limit."""
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
                raise BodyError(_too_large("the unpacked body is longer", self._limit))
            data = self._raw.unconsumed_tail
            if self._raw.eof:
                data = self._raw.unused_data
                if not data.startswith(b"\x1f\x8b"):
                    break  # padding after the last gzip member
                self._raw = zlib.decompressobj(self._window)
        unpacked = b"".join(made)
        return self._inner.feed(unpacked) if self._inner is not None else unpacked

    def finish(self) -> None:
        """Raise BodyError unless the packed stream is complete."""
        if self._begun and not self._raw.eof:
            raise BodyError(Failure(Reason.BODY_TRUNCATED, "the packed body ends early"))
        if self._inner is not None:
            self._inner.finish()


def _too_large(what: str, limit: int) -> Failure:
    return Failure(Reason.BODY_TOO_LARGE, f"{what}; at most {limit} bytes are accepted")
