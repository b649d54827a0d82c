"""Frames responses before aiohttp's parser sees them: bytes after a body of a known length are dropped.

The parser fails a response for bytes behind its body or a repeated Content-Length, and loses the body.
RFC 9112, section 6.3, lets a client discard such bytes; the connection is not used again.
"""

from __future__ import annotations

import re
from typing import Any

from aiohttp.client_proto import ResponseHandler

HEAD_BYTES = 2**18
"""Maximum bytes of a status line and headers; the limit is 300 KiB in curl, 256 KiB in browsers."""

HEADERS = 1000
"""Maximum headers of one response."""

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE)
_CODED = re.compile(rb"\r\n(?:transfer-encoding|upgrade)[ \t]*:", re.IGNORECASE)


class FramedHandler(ResponseHandler):
    """A connection's protocol that gives the parser one response per request."""

    _head: bytearray | None = None
    _left: int | None = None
    """Remaining bytes of the body; None: unknown."""
    _framed = False

    def set_response_params(self, **options: Any) -> None:
        """Start a response: a request was sent."""
        self._head, self._left, self._framed = None, None, False
        super().set_response_params(
            **options, max_line_size=HEAD_BYTES, max_field_size=HEAD_BYTES, max_headers=HEADERS
        )

    def data_received(self, data: bytes) -> None:
        """Pass the bytes of the response to the parser, and drop bytes after its end."""
        if self._parser is None or not data:
            super().data_received(data)
            return
        if not self._framed:
            data = self._frame(data)
            if not data:
                return
        if self._left is not None:
            surplus = len(data) > self._left
            data = data[: self._left]
            self._left -= len(data)
            if surplus:
                self.force_close()
        if data:
            super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Pass an incomplete head to the parser."""
        if self._head and self._parser is not None:
            self._framed, head, self._head = True, bytes(self._head), None
            super().data_received(head)
        super().connection_lost(exc)

    def _frame(self, data: bytes) -> bytes:
        """Return the bytes for the parser once the head is complete, else b''. Sets the body's length."""
        seen = len(self._head) if self._head is not None else 0
        if self._head is not None:
            self._head += data  # appends in place, since a head may come byte by byte
        end = (data if self._head is None else self._head).find(b"\r\n\r\n", max(0, seen - 3))
        if end < 0 and seen + len(data) <= HEAD_BYTES and _may_be_http(self._head or data):
            self._head = bytearray(data) if self._head is None else self._head
            return b""
        data, self._head = data if self._head is None else bytes(self._head), None
        status = _STATUS.match(data)
        if status is None or end < 0:
            self._framed = True  # not HTTP: the parser raises the error
            return data
        code = int(status[1])
        end += 4
        if 100 <= code < 200 and code != 101:  # an interim response: the final response follows
            super().data_received(data[:end])
            return self._frame(data[end:]) if data[end:] else b""
        self._framed = True
        head = data[: end - 2]
        lengths = {part.strip() for value in _LENGTH.findall(head) for part in value.split(b",")}
        if code in (204, 304):
            self._left = end
        elif len(lengths) == 1 and not _CODED.search(head):
            (length,) = lengths
            if re.fullmatch(rb"[0-9]{1,18}", length):
                head = _LENGTH.sub(b"", head) + b"Content-Length: " + length + b"\r\n"
                data = head + b"\r\n" + data[end:]
                self._left = len(head) + 2 + int(length)
        return data


def _may_be_http(data: bytes | bytearray) -> bool:
    """Return whether further bytes can complete the received bytes to a response."""
    return len(data) < len(b"HTTP/1.1 200") + 1 or _STATUS.match(data) is not None
