"""Maps exceptions and statuses of a request to reason codes."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterable

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from ...catalog.models import Failure
from ...catalog.status import Reason
from ...core.errors import DerlemError, chain
from .addresses import PrivateAddressError
from .urls import UrlError

HOST_LEVEL = frozenset(
    {
        Reason.DNS,
        Reason.DNS_TEMPORARY,
        Reason.REFUSED,
        Reason.TLS,
        Reason.CONNECTION,
        Reason.TIMEOUT,
        Reason.HTTP_5XX,
    }
)
"""Failures of a host, not of one URL: after several in a row, the host counts as down."""

_NOT_NOW = frozenset({socket.EAI_AGAIN, socket.EAI_MEMORY, socket.EAI_SYSTEM})
_OURS = frozenset({errno.EMFILE, errno.ENFILE})


class OpenFilesError(DerlemError):
    """The process has reached its limit of open files, a local problem that ends the run."""

    def __init__(self, why: str) -> None:
        advice = "Raise `ulimit -n`, or lower `fetch.connections`"
        super().__init__(f"no further connection can be opened: {why}. {advice}")


class DroppedError(aiohttp.ClientError):
    """The connection ended before a response; `reused`: the connection had served another request.

    Servers may close a reused connection at any time, so that the error does not concern this request.
    """

    def __init__(self, message: str, *, reused: bool) -> None:
        self.reused = reused
        super().__init__(message)


def failure_of(error: BaseException) -> Failure:
    """Return the failure for an exception of a request; raise other exceptions again.

    Raises OpenFilesError if the process cannot open more files.
    """
    links = list(chain(error))
    for link in links:
        if isinstance(link, OSError) and link.errno in _OURS:
            raise OpenFilesError(os.strerror(link.errno)) from error
        if isinstance(link, PrivateAddressError):
            return Failure(Reason.PRIVATE_ADDRESS, str(link))
        if isinstance(link, UrlError):
            return Failure(Reason.BAD_URL, str(link))
        if isinstance(link, ssl.SSLError):
            return Failure(Reason.TLS, _tls_detail(links))
        if isinstance(link, socket.gaierror):
            reason = Reason.DNS_TEMPORARY if link.errno in _NOT_NOW else Reason.DNS
            return Failure(reason, link.strerror or str(link))
    match error:
        case TimeoutError():
            return Failure(Reason.TIMEOUT, str(error))
        case aiohttp.ClientPayloadError():
            return Failure(Reason.BODY_TRUNCATED, _first_line(error))
        case HttpProcessingError():  # a malformed response
            return Failure(Reason.PROTOCOL, _first_line(error.message or error))
        case ConnectionRefusedError():
            return Failure(Reason.REFUSED, "connection refused")
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, ConnectionRefusedError):
            return Failure(Reason.REFUSED, "connection refused")
        case aiohttp.ClientError() | OSError():
            return Failure(Reason.CONNECTION, _first_line(error))
    raise error


def status_failure(status: int) -> Failure:
    """Return the failure for an HTTP status; `meta` contains the status."""
    if status == 429:
        reason = Reason.HTTP_429
    elif status >= 500:
        reason = Reason.HTTP_5XX
    elif status == 408:  # the server timed out although the request was sent
        reason = Reason.TIMEOUT
    elif status >= 400:
        reason = Reason.HTTP_4XX
    else:
        reason = Reason.PROTOCOL
    return Failure(reason, f"HTTP status {status}", {"http_status": status})


def _tls_detail(links: Iterable[BaseException]) -> str:
    """Return OpenSSL's message; aiohttp wraps the error in ssl.SSLErrors without a message."""
    *_, innermost = (link for link in links if isinstance(link, ssl.SSLError))
    parts = [getattr(innermost, name, None) for name in ("reason", "verify_message")]
    return ": ".join(text for text in parts if text) or _first_line(innermost)


def _first_line(error: BaseException | str) -> str:
    return (str(error) or type(error).__name__).strip().splitlines()[0][:200]
