"""Maps the exceptions of a listing's request to reason codes."""

from __future__ import annotations

from scrapy.exceptions import (
    CannotResolveHostError,
    DownloadCancelledError,
    DownloadConnectionRefusedError,
    DownloadFailedError,
    DownloadTimeoutError,
    IgnoreRequest,
    ResponseDataLossError,
    UnsupportedURLSchemeError,
)
from scrapy.spidermiddlewares.httperror import HttpError

from ...catalog.status import Reason
from ..http.failures import status_failure


class Refused(IgnoreRequest):
    """A request that the crawl policy blocks (robots.txt, a private address, a paused host)."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)


_REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (CannotResolveHostError, Reason.DNS_TEMPORARY),
    (DownloadConnectionRefusedError, Reason.REFUSED),
    (DownloadTimeoutError, Reason.TIMEOUT),
    (ResponseDataLossError, Reason.BODY_TRUNCATED),
    (DownloadCancelledError, Reason.BODY_TOO_LARGE),
    (DownloadFailedError, Reason.CONNECTION),
    (UnsupportedURLSchemeError, Reason.BAD_URL),
    (IgnoreRequest, Reason.REDIRECT_LOOP),  # raised by the redirect middleware; derlem raises Refused
)


def reason_of(error: BaseException) -> Reason:
    """Return the reason code of an exception that ended the request of a listing."""
    if isinstance(error, Refused):
        return error.reason
    if isinstance(error, HttpError):
        return status_failure(error.response.status).reason
    if is_certificate_error(error):
        return Reason.TLS
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), Reason.PROTOCOL)


def is_certificate_error(error: BaseException) -> bool:
    """Return whether a connection failed because of its certificate; a retry would fail, too."""
    return isinstance(error, DownloadFailedError) and "certificate" in str(error).lower()
