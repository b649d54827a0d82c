"""An HTTP server that violates HTTP on purpose and measures its clients.

The server writes HTTP/1.1 byte by byte in order to break the protocol. It listens on several loopback
addresses, which count as different hosts. The first step of a path selects the behavior; the rest of a path
makes URLs differ:

    /ok/7.jpg                 a JPEG, with ETag, Last-Modified and ranges
    /bare/7.jpg               the same without validators, chunked
    /zipped/7.jpg             the same, gzip-coded
    /404/x, /503/x, /301/x    this status
    /flaky-503-2/x            a 503 (or any other status) 2 times, then a JPEG
    /429-seconds-3/x          429 with Retry-After: 3 the first time; 429-date-3: as a date; 429-bare: without
    /burst-503-3/x            from this request, the whole host answers 503 with Retry-After for 3 seconds
    /limit-2/x                a JPEG, and the RateLimit headers of a limit that is exhausted for 2 seconds
    /drop, /drop-late         the connection ends: at once, in the headers
    /reset                    the connection is reset
    /delay-5, /trickle-5      5 seconds before the answer, during the body; slow-headers-5: during the headers
    /short, /long             the body ends before its announced length, or continues after it
    /broken-chunks            invalid chunked coding; broken-chunks-1: in the second chunk
    /half-chunks              chunked coding that ends early
    /truncated                a truncated JPEG file, with the correct length
    /html                     a web page with the type image/jpeg
    /empty                    an empty body, with status 200
    /huge, /announced         an endless body; a body with an announced length of 10 GB
    /bomb                     256 MB of zeros, gzip-coded
    /loop                     a redirect to itself; /bounce/3: three redirects and a JPEG
    /to/<quoted URL>          a redirect to this URL
    /cut/x                    a JPEG, and the end of the connection despite keep-alive
    /resume/x                 a JPEG of 1 MB: the first connection breaks in the middle
    /garbage                  bytes that are not HTTP
    /header-flood             endless headers
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gzip
import io
import re
import socket
import struct
import threading
import time
import zlib
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import unquote

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


@dataclass(slots=True)
class _Host:
    answers: set[_Answer] = field(default_factory=set)
    busiest: int = 0
    closed_until: float = 0.0


@dataclass
class MisbehavingServer:
    """Context manager that runs the server in its own thread.

    `files` contains literal answers, (status, headers, body) by (address or host name, path). `versions`
    maps a path of `/ok/` to the number of its image.
    """

    addresses: tuple[str, ...] = ("127.0.0.1",)
    files: dict[tuple[str, str], tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=dict)
    requests: list[Seen] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._hosts: dict[str, _Host] = defaultdict(_Host)
        self._times: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> MisbehavingServer:
        sockets = []
        for address in self.addresses:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, self.port))
            self.port = listener.getsockname()[1]
            sockets.append(listener)
        self._thread.start()

        async def start() -> list[asyncio.Server]:
            return [
                await asyncio.start_server(self._connection, sock=listener, backlog=512, limit=2**16)
                for listener in sockets
            ]

        self._servers = asyncio.run_coroutine_threadsafe(start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            for server in self._servers:
                server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def url(self, path: str, host: str = "") -> str:
        """The URL of a path on a host, by default the first address."""
        return f"http://{host or self.addresses[0]}:{self.port}/{path.removeprefix('/')}"

    # --- measurements ---

    def of(self, host: str, *, files: bool = True) -> list[Seen]:
        """The requests to a host in order; without `files`, robots.txt and TDMRep are omitted."""
        return [
            seen for seen in self.requests if seen.host == host and (files or not _is_site_file(seen.path))
        ]

    def paths(self, host: str = "") -> list[str]:
        """Requested paths of a host, without robots.txt and TDMRep."""
        return [seen.path for seen in self.of(host or self.addresses[0], files=False)]

    def busiest(self, host: str) -> int:
        """The maximum number of concurrent requests to a host."""
        return self._hosts[host].busiest

    def excess(self, host: str, rate: float, burst: int) -> float:
        """The maximum number of requests to a host in excess of burst + rate * seconds."""
        worst, level, last = 0.0, 0.0, 0.0
        for seen in self.of(host):  # a leaky bucket finds the worst window in one pass
            level = max(0.0, level - (seen.began - last) * rate) + 1
            last = seen.began
            worst = max(worst, level - burst)
        return worst

    def body_bytes(self) -> int:
        """Sent bytes of bodies, without robots.txt and TDMRep."""
        return sum(seen.body for seen in self.requests if not _is_site_file(seen.path))

    # --- serving ---

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                while await self._request(reader, writer):
                    pass
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; return whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        began = time.monotonic()
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        path = first.split(" ")[1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        name = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
        seen = Seen(name, writer.get_extra_info("sockname")[0], path, headers, began)
        self.requests.append(seen)
        host = self._hosts[name]
        self._times[f"{name}{path}"] += 1
        answer = _Answer(reader, writer, seen)
        host.answers.add(answer)
        await asyncio.sleep(0)  # handle connections closed before this request first
        host.busiest = max(host.busiest, sum(not other.abandoned for other in host.answers))
        try:
            await self._answer(answer, host, self._times[f"{name}{path}"])
        finally:
            seen.ended = time.monotonic()
            host.answers.discard(answer)
        return answer.keep and headers.get("connection", "").lower() != "close"

    async def _answer(self, answer: _Answer, host: _Host, times: int) -> None:
        seen = answer.seen
        literal = self.files.get((seen.host, seen.path), self.files.get((seen.address, seen.path)))
        if literal is not None:
            await answer.send(*literal)
            return
        if _is_site_file(seen.path):
            await answer.send(404)
            return
        if time.monotonic() < host.closed_until:
            await answer.send(503, {"Retry-After": str(int(host.closed_until - time.monotonic()) + 1)})
            return
        kind = seen.path.strip("/").split("/")[0].partition("?")[0]
        image = jpeg(self.versions.get(seen.path, sum(seen.path.encode()) % 100))
        match kind.split("-"):
            case [status] if status.isdigit():
                await answer.send(int(status))
            case ["flaky", status, count]:
                await (answer.send(int(status)) if times <= int(count) else answer.send(200, body=image))
            case ["429", form, *rest]:
                wait = float(rest[0]) if rest else 0.0
                date = formatdate(time.time() + wait, usegmt=True)
                retry_after = {"seconds": "".join(rest[:1]), "date": date}.get(form)
                if times == 1:
                    await answer.send(429, {"Retry-After": retry_after} if retry_after else {})
                else:
                    await answer.send(200, body=image)
            case ["burst", "503", seconds]:
                if times > 1:
                    await answer.send(200, body=image)
                else:
                    host.closed_until = time.monotonic() + float(seconds)
                    await answer.send(503, {"Retry-After": seconds})
            case ["limit", seconds]:
                headers_sent = {"RateLimit": f'"default";r={int(times > 1)};t={seconds}'}
                await answer.send(200, headers_sent, image)
            case ["bare"]:
                await answer.chunked(image)
            case ["zipped"]:
                await answer.send(200, {"Content-Encoding": "gzip"}, gzip.compress(image))
            case ["resume"]:
                await self._large(answer, times)
            case ["to"]:
                await answer.send(302, {"Location": unquote(seen.path.partition("/to/")[2])})
            case ["bounce"]:
                left = int(seen.path.rpartition("/")[2].partition("?")[0])
                await (
                    answer.send(301, {"Location": f"{left - 1}"}) if left else answer.send(200, body=image)
                )
            case ["loop"]:
                await answer.send(301, {"Location": seen.path})
            case ["ok"]:
                await answer.versioned(image)
            case _:
                await answer.break_off(kind, image)

    async def _large(self, answer: _Answer, times: int) -> None:
        image = jpeg(7, 900)
        image += b"\0" * (2**20 - len(image))
        validators = {"Accept-Ranges": "bytes", "ETag": '"large"'}
        requested = re.fullmatch(r"bytes=(\d+)-", answer.seen.headers.get("range", ""))
        if requested and answer.seen.headers.get("if-range") == '"large"':
            at = int(requested[1])
            validators["Content-Range"] = f"bytes {at}-{len(image) - 1}/{len(image)}"
            await answer.send(206, validators, image[at:])
        elif times == 1:
            await answer.send(200, validators, image[: 600 * 1024], announced=len(image))
            answer.keep = False
        else:
            await answer.send(200, validators, image)


def _is_site_file(path: str) -> bool:
    return path in ("/robots.txt", "/.well-known/tdmrep.json")


class _Answer:
    """Writes one answer, valid or invalid."""

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
