"""One place where what went wrong with a listing becomes a reason code."""

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
    """A request that the crawl policy stops (robots.txt, a private address, a paused host)."""

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
    (IgnoreRequest, Reason.REDIRECT_LOOP),  # the redirect middleware's way to give up; ours are Refused
)


def reason_of(error: BaseException) -> Reason:
    """The reason code of an exception that ended the fetching of a listing."""
    if isinstance(error, Refused):
        return error.reason
    if isinstance(error, HttpError):
        return status_failure(error.response.status).reason
    if is_certificate_error(error):
        return Reason.TLS
    return next((reason for kind, reason in _REASONS if isinstance(error, kind)), Reason.PROTOCOL)


def is_certificate_error(error: BaseException) -> bool:
    """Whether a failed connection failed on its certificate: another try would fail as well."""
    return isinstance(error, DownloadFailedError) and "certificate" in str(error).lower()
