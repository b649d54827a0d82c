"""An HTTP server on loopback that replaces an archive and records its requests."""

from __future__ import annotations

import hashlib
import ssl
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType


@dataclass
class Answer:
    """A response. With `cut`, the server sends this many bytes of the body and closes the connection."""

    body: bytes = b""
    kind: str = "text/html"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int | None = None


@dataclass(frozen=True)
class Request:
    """A received request and its time (seconds, monotonic)."""

    path: str
    status: int
    at: float
    headers: Mapping[str, str]
    whole: bool
    client: tuple[str, int]


class Replica:
    """Answers with `answer(path, headers)`; `requests` contains every request in order."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.robots = Answer(b"User-agent: *\nDisallow:\n", "text/plain")
        self.lock = threading.Lock()
        replica = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                replica.serve(self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                pass  # tests kill clients during a request

        self.server = Server(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self.server.server_port}"
        self.build()

    def encrypt(self, certificate: Path) -> None:
        """Serve over TLS with this key and certificate; call before the server starts."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.base = self.base.replace("http:", "https:")

    def build(self) -> None:
        """Create the served content; `base` is set."""

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        """Return the answer to a request."""
        raise LookupError(path)

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        path = handler.path
        try:
            answer = self.robots if path == "/robots.txt" else self.answer(path, headers)
        except LookupError:
            answer = Answer(b"no such page", status=404)
        tag = answer.headers.get("ETag")
        if tag and headers.get("if-none-match") == tag:
            answer = Answer(status=304, headers=answer.headers)
        sent = answer.body if answer.cut is None else answer.body[: answer.cut]
        with self.lock:
            self.requests.append(
                Request(
                    path,
                    answer.status,
                    time.monotonic(),
                    headers,
                    answer.status == 200 and answer.cut is None,
                    handler.client_address,
                )
            )
        handler.send_response(answer.status)
        handler.send_header("Content-Type", answer.kind)
        handler.send_header("Content-Length", str(len(answer.body)))
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(sent)
        if answer.cut is not None:
            handler.close_connection = True

    def count(self, start: str = "", status: int | None = None) -> Counter[str]:
        """Count requests by path, for paths with this prefix (and answers with this status)."""
        with self.lock:
            return Counter(
                request.path
                for request in self.requests
                if request.path.startswith(start) and status in (None, request.status)
            )

    def gaps(self) -> list[float]:
        """Seconds between one request and the next."""
        with self.lock:
            return [b.at - a.at for a, b in zip(self.requests, self.requests[1:], strict=False)]

    def __enter__(self) -> Replica:
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


def tagged(body: bytes, kind: str = "text/html") -> Answer:
    """An answer with an ETag over its bytes."""
    return Answer(body, kind, headers={"ETag": f'"{hashlib.sha256(body).hexdigest()[:16]}"'})


def small_pdf(text: str) -> bytes:
    """A complete PDF with one small page that contains `text`."""
    content = f"BT /F1 12 Tf 20 40 Td ({text}) Tj ET".encode("ascii")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 144 72] /Contents 4 0 R"
        b" /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % place for place in places)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)
