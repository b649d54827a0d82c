"""The crawl policy: permission for a request, and the pauses of a host.

The fetcher, the spiders and the hub's client share this policy and apply its decisions.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from ...catalog.models import Failure
from ...catalog.status import Reason
from .failures import status_failure
from .fetch_options import MAX_PAUSE, FetchOptions

BUSY = frozenset({408, 429, 500, 502, 503, 504, 522, 524})
"""Statuses of a busy server."""

MAX_BACKOFF = 60.0
"""Maximum seconds between two tries of a request."""

UNREACHABLE_LIFE = 600.0
"""Seconds before another request for a robots.txt that could not be read."""

_ABSENT = frozenset({Reason.HTTP_4XX, Reason.REDIRECT_LOOP, Reason.BAD_URL, Reason.EMPTY})
"""Failures that mean a missing robots.txt (RFC 9309, section 2.3.1.3)."""


_EPOCH = 1_000_000_000
"""A larger number in a reset header is a time, not a number of seconds."""

_POLICY = re.compile(r"(?:^|[;,\s])(r|t|remaining|reset)\s*=\s*(\d{1,12})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CrawlPolicy:
    """Decisions of the configuration's `fetch` section. Times are in seconds."""

    max_wait: float
    backoff: float
    obeys_robots: bool
    max_pause: float = MAX_PAUSE

    @classmethod
    def of(cls, options: FetchOptions) -> CrawlPolicy:
        """Return the policy of the options."""
        return cls(options.max_wait, options.backoff, "robots" in options.respect, options.max_pause)

    def waits_for(self, seconds: float) -> bool:
        """Return whether a run waits for a pause; a longer pause leaves the host for another run."""
        return seconds <= self.max_wait

    def backoff_after(self, tries: int) -> float:
        """Return the seconds before the next try after `tries` tries: exponential, with jitter."""
        longest: float = min(MAX_BACKOFF, self.backoff * 2.0 ** (tries - 1))
        return longest * random.uniform(0.5, 1.0)

    def pause_after(self, status: int, headers: Mapping[str, str], wall: float, tries: int) -> float | None:
        """Return the seconds of a host's pause after a response; None without a pause.

        `wall` is the time in seconds since the epoch; `tries` counts pauses without a header.
        """
        seconds = requested_pause(status, headers, wall)
        if seconds is None and status == 429:
            return self.backoff_after(tries) * 5
        return None if seconds is None else min(seconds, self.max_pause)

    def pace_of(self, crawl_delay: float | None) -> float:
        """Return the crawl delay of robots.txt in seconds; 0 if robots.txt is not respected."""
        stated = self.obeys_robots and crawl_delay is not None and math.isfinite(crawl_delay)
        return max(crawl_delay or 0.0, 0.0) if stated else 0.0


def requested_pause(status: int, headers: Mapping[str, str], wall: float) -> float | None:
    """Return the seconds of the pause that a response requests; None without one.

    `Retry-After` is used with the statuses in BUSY, an exhausted `RateLimit` with any status. `wall` is the
    time in seconds since the epoch.
    """
    stated = retry_after(headers.get("Retry-After"), wall) if status in BUSY else None
    waits = [seconds for seconds in (stated, exhausted_for(headers, wall)) if seconds is not None]
    return max(waits, default=None)


def forbids_all(failure: Failure) -> bool:
    """Return whether the failure of a robots.txt forbids all URLs of its origin.

    A missing file allows everything; a busy or failing server allows nothing (RFC 9309).
    """
    return failure.reason not in _ABSENT


def robots_failure(status: int) -> Failure | None:
    """Return the failure of a robots.txt answered with `status`; None for a readable file."""
    return None if 200 <= status < 300 else status_failure(status)


def robots_delay_failure(seconds: float) -> Failure:
    """Return the failure of requests to a host whose crawl delay exceeds `max_wait`."""
    detail = f"robots.txt requires {seconds:g} s between two requests, more than fetch.max_wait"
    return Failure(Reason.HTTP_429, detail)


def retry_after(value: str | None, wall: float) -> float | None:
    """Parse a Retry-After header (RFC 9110, section 10.2.3: seconds or a date) to seconds, at least 0.

    `wall` is the time in seconds since the epoch. None for a missing or invalid header.
    """
    if not value:
        return None
    value = value.strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d+)?", value):
        return float(value)
    try:
        date = parsedate_to_datetime(value)
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - wall
    except (ValueError, OverflowError):
        return None
    return max(0.0, seconds)


def exhausted_for(headers: Mapping[str, str], wall: float) -> float | None:
    """Return the seconds until an exhausted rate limit resets; None if the limit is not exhausted.

    Supports `RateLimit: "policy";r=0;t=30`, `RateLimit: limit=10, remaining=0, reset=30` (drafts of
    draft-ietf-httpapi-ratelimit-headers) and the `(X-)RateLimit-Remaining` and `-Reset` pairs.
    """
    combined = headers.get("RateLimit")
    if combined is not None:
        waits = [_combined(policy) for policy in re.split(r',\s*(?=")', combined)]
        return max((wait for wait in waits if wait is not None), default=None)
    for prefix in ("RateLimit", "X-RateLimit"):
        remaining = headers.get(f"{prefix}-Remaining")
        if remaining is not None:
            reset = headers.get(f"{prefix}-Reset", "").partition(",")[0].partition(";")[0].strip()
            if remaining.strip() != "0" or not re.fullmatch(r"\d{1,12}(?:\.\d+)?", reset):
                return None
            seconds = float(reset)
            return max(0.0, seconds - wall) if seconds > _EPOCH else seconds
    return None


def _combined(text: str) -> float | None:
    found = {name.lower()[0:3]: int(number) for name, number in _POLICY.findall(text)}
    remaining = found.get("r", found.get("rem"))
    reset = found.get("t", found.get("res"))
    return float(reset) if remaining == 0 and reset is not None else None
