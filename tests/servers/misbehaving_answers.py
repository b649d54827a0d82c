"""Answers of the misbehaving server: written byte by byte, valid or invalid."""

from __future__ import annotations

import asyncio
import functools
import io
import re
import socket
import struct
import time
import zlib
from dataclasses import dataclass

from PIL import Image

LAST_MODIFIED = "Wed, 01 Jan 2025 00:00:00 GMT"


@functools.cache
def jpeg(seed: int = 0, side: int = 48) -> bytes:
    """A JPEG of a few kilobytes, different for every seed."""
    image = Image.effect_noise((side, side), 40 + seed % 50).convert("RGB")
    image.paste((seed * 7 % 256, seed * 13 % 256, seed * 29 % 256), (0, 0, side // 2, side // 2))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=85)
    return data.getvalue()


@dataclass(slots=True)
class Seen:
    """A recorded request; `body` counts the sent bytes of the answer's body."""

    host: str
    address: str
    path: str
    headers: dict[str, str]
    began: float
    ended: float = 0.0
    status: int = 0
    body: int = 0


def is_site_file(path: str) -> bool:
    """Whether a path belongs to robots.txt or TDMRep."""
    return path in ("/robots.txt", "/.well-known/tdmrep.json")


class Answer:
    """Writes one answer, valid or invalid, and counts its bytes in `seen`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: Seen) -> None:
        self._reader, self._writer, self.seen, self.keep = reader, writer, seen, True

    async def send(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        *,
        announced: int | None = None,
    ) -> None:
        self.seen.status = status
        length = (
            {} if status == 304 else {"Content-Length": str(len(body) if announced is None else announced)}
        )
        headers_sent = {"Content-Type": "image/jpeg"} | length | (headers or {})
        head = "".join(f"{name}: {value}\r\n" for name, value in headers_sent.items())
        self._writer.write(f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body)
        self.seen.body += len(body)
        await self._writer.drain()

    async def versioned(self, image: bytes) -> None:
        etag = f'"{zlib.crc32(image):x}"'
        validators = {"ETag": etag, "Last-Modified": LAST_MODIFIED, "Accept-Ranges": "bytes"}
        if self.seen.headers.get("if-none-match") == etag:
            await self.send(304, validators)
        else:
            await self.send(200, validators, image)

    async def chunked(self, body: bytes, size: int = 700) -> None:
        self._raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), size):
            piece = body[at : at + size]
            self._raw(b"%x\r\n%s\r\n" % (len(piece), piece), body=len(piece))
        self._raw("0\r\n\r\n")
        await self._writer.drain()

    async def break_off(self, kind: str, image: bytes) -> None:
        """Send an answer after which the connection must be closed."""
        self.keep = False
        name, _, argument = kind.rpartition("-") if re.search(r"-\d+$", kind) else (kind, "", "0")
        seconds = float(argument)
        match name:
            case "drop":
                pass
            case "drop-late":
                self._raw("HTTP/1.1 200 OK\r\nContent-Ty")
            case "reset":
                linger = struct.pack("ii", 1, 0)
                self._writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            case "delay":
                await self._pause(seconds)
                await self.send(200, body=image)
            case "trickle":
                await self.send(200, body=image[:10], announced=len(image))
                for at in range(10, len(image)):
                    await self._pause(seconds / len(image))
                    self._raw(image[at : at + 1], body=1)
            case "slow-headers":
                for letter in f"HTTP/1.1 200 OK\r\nContent-Length: {len(image)}\r\n\r\n":
                    self._raw(letter)
                    await self._pause(seconds / 50)
                self._raw(image, body=len(image))
            case "short":
                await self.send(200, body=image[:-100], announced=len(image))
            case "long":
                await self.send(200, body=image + b"more" * 100, announced=len(image))
            case "broken-chunks":
                self._raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n")
                self._raw(image[:3])
                await self._writer.drain()
                await self._pause(seconds / 10)
                self._raw("\r\nzz\r\nnonsense")
            case "half-chunks":
                self._raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n")
                self._raw(image[:300], body=300)
            case "truncated":
                await self.send(200, body=image[: len(image) // 2])
            case "html":
                await self.send(200, body=b"<!DOCTYPE html><html><body>Not here any more.</body></html>" * 40)
            case "empty":
                await self.send(200)
            case "huge":
                self._raw("HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n")
                self._raw(image, body=len(image))
                await self._forever(b"\0" * 65536)
            case "announced":
                await self.send(200, body=image, announced=10 * 2**30)
                await self._pause(5)
            case "bomb":
                self._raw("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
                for piece in _bomb():
                    self._raw(b"%x\r\n%s\r\n" % (len(piece), piece), body=len(piece))
                    await self._writer.drain()
                self._raw("0\r\n\r\n")
            case "cut":
                await self.send(200, body=image)
            case "garbage":
                self._raw("Good day. This is not what you expected.\r\n\r\n")
            case "header-flood":
                self._raw("HTTP/1.1 200 OK\r\n")
                await self._forever(b"X-Flood: " + b"y" * 5000 + b"\r\n")
            case _:
                self.keep = True
                await self.send(404)
        await self._writer.drain()

    @property
    def abandoned(self) -> bool:
        """Whether the client has disconnected."""
        return self._reader.at_eof() or self._reader.exception() is not None

    async def _pause(self, seconds: float) -> None:
        """Wait, but raise ConnectionResetError once the client has disconnected."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.abandoned:
                raise ConnectionResetError
            await asyncio.sleep(min(left, 0.02))

    async def _forever(self, piece: bytes) -> None:
        while not self._writer.is_closing():
            self._raw(piece, body=len(piece))
            await self._writer.drain()
            await asyncio.sleep(0.001)

    def _raw(self, data: str | bytes, body: int = 0) -> None:
        self.seen.body += body
        self._writer.write(data.encode("latin-1") if isinstance(data, str) else data)


@functools.cache
def _bomb() -> tuple[bytes, ...]:
    """256 MB in gzip coding (256 kB sent), with the first bytes of a JPEG."""
    packer = zlib.compressobj(6, wbits=31)
    pieces = [packer.compress(jpeg())]
    pieces += [packer.compress(b"\0" * 2**20) for _ in range(256)]
    pieces.append(packer.flush())
    return tuple(piece for piece in pieces if piece)
