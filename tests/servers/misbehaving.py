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
import gzip
import re
import socket
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from email.utils import formatdate
from urllib.parse import unquote

from misbehaving_answers import Answer, Seen, is_site_file, jpeg


@dataclass(slots=True)
class _Host:
    answers: set[Answer] = field(default_factory=set)
    busiest: int = 0
    closed_until: float = 0.0


HEARTBEAT = 0.01
"""Seconds between two looks at the clock of the server's loop."""


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
        self.lag = 0.0
        """The longest time in seconds for which the server's loop was held up."""
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
        self._heartbeat = asyncio.run_coroutine_threadsafe(self._measure_lag(), self._loop)
        return self

    def __exit__(self, *_: object) -> None:
        async def stop() -> None:
            for server in self._servers:
                server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

        self._heartbeat.cancel()
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
            seen for seen in self.requests if seen.host == host and (files or not is_site_file(seen.path))
        ]

    def paths(self, host: str = "") -> list[str]:
        """Requested paths of a host, without robots.txt and TDMRep."""
        return [seen.path for seen in self.of(host or self.addresses[0], files=False)]

    def busiest(self, host: str) -> int:
        """The maximum number of concurrent requests to a host."""
        return self._hosts[host].busiest

    def excess(self, host: str, rate: float, burst: int) -> float:
        """The minimum number of requests that were sent to a host in excess of burst + rate * seconds.

        A request that arrives while the server's loop is held up is dated late, and seems nearer to the next
        one by as much; `lag` bounds that error.
        """
        worst, level, last = 0.0, 0.0, 0.0
        for seen in self.of(host):  # a leaky bucket finds the worst window in one pass
            level = max(0.0, level - (seen.began - last) * rate) + 1
            last = seen.began
            worst = max(worst, level - burst)
        return worst - rate * self.lag

    def body_bytes(self) -> int:
        """Sent bytes of bodies, without robots.txt and TDMRep."""
        return sum(seen.body for seen in self.requests if not is_site_file(seen.path))

    # --- serving ---

    async def _measure_lag(self) -> None:
        while True:
            expected = time.monotonic() + HEARTBEAT
            await asyncio.sleep(HEARTBEAT)
            self.lag = max(self.lag, time.monotonic() - expected)

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
        answer = Answer(reader, writer, seen)
        host.answers.add(answer)
        await asyncio.sleep(0)  # handle connections closed before this request first
        host.busiest = max(host.busiest, sum(not other.abandoned for other in host.answers))
        try:
            await self._answer(answer, host, self._times[f"{name}{path}"])
        finally:
            seen.ended = time.monotonic()
            host.answers.discard(answer)
        return answer.keep and headers.get("connection", "").lower() != "close"

    async def _answer(self, answer: Answer, host: _Host, times: int) -> None:
        seen = answer.seen
        literal = self.files.get((seen.host, seen.path), self.files.get((seen.address, seen.path)))
        if literal is not None:
            await answer.send(*literal)
            return
        if is_site_file(seen.path):
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

    async def _large(self, answer: Answer, times: int) -> None:
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
