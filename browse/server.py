"""Serves the application with uvicorn."""

from __future__ import annotations

import ipaddress
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..core.errors import ConfigError, MissingExtra
from ..project import Project

if TYPE_CHECKING:
    import uvicorn

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 1
"""Seconds that open streams have at the end."""


def serve(project: Project, host: str, port: int, token: str | None, ready: Callable[[str], None]) -> None:
    """Serve until a signal; `ready` is called with the address, token included, when it can be opened.

    `port` 0 is any free port. An address other than loopback always has a token, a random one by default.
    Raises MissingExtra, ConfigError for an address that cannot be used, and the exceptions of a catalog that
    cannot be read.
    """
    try:
        import uvicorn

        from .app import create_app
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("derlem"):
            raise
        raise MissingExtra(f"derlem browse ({error.name})", "browse") from error
    project.explore.facets()  # fails now if the catalog cannot be read
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise ConfigError(f"{host} port {port}: {error.strerror}") from error
    with listening:
        listening.listen(128)  # a browser that opens the address at once waits for the server
        chosen = listening.getsockname()[1]
        if token is None and not is_loopback(host):
            token = secrets.token_urlsafe(24)
        app = create_app(project, allowed_hosts(host, chosen), token)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=GRACE,
        )
        shown = f"[{host}]" if ":" in host else host
        ready(f"http://{shown}:{chosen}/" + (f"?token={token}" if token else ""))
        server = uvicorn.Server(config)
        _stop_quietly(server)
        server.run(sockets=[listening])


def _stop_quietly(server: uvicorn.Server) -> None:
    """Let SIGINT and SIGTERM end the server, without uvicorn's second signal after the end."""

    @contextmanager
    def capture() -> Iterator[None]:
        before = {number: signal.signal(number, server.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    server.capture_signals = capture  # type: ignore[method-assign]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allowed_hosts(host: str, port: int) -> frozenset[str] | None:
    """The Host headers of a server at an address; None for all, where it listens on all addresses."""
    if host in ("0.0.0.0", "::"):
        return None
    own = f"[{host}]" if ":" in host else host.lower()
    names = {own}
    if is_loopback(host):
        names |= {"127.0.0.1", "localhost", "[::1]"}
    return frozenset(f"{name}:{port}" for name in names) | (frozenset(names) if port == 80 else frozenset())
