"""What response headers say of waiting: Retry-After and the RateLimit families."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

_EPOCH = 1_000_000_000
"""A reset given as a larger number is a time, not a number of seconds."""

_POLICY = re.compile(r"(?:^|[;,\s])(r|t|remaining|reset)\s*=\s*(\d{1,12})", re.IGNORECASE)


def retry_after(value: str | None, wall: float) -> float | None:
    """Seconds to wait by a Retry-After header (RFC 9110, section 10.2.3: seconds or a date), never negative.

    `wall` is the present time in seconds since the epoch. None where there is no header, or no sense in it.
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
    """Seconds until a used-up rate limit is renewed; None unless the headers say that nothing is left.

    Understands `RateLimit: "policy";r=0;t=30`, `RateLimit: limit=10, remaining=0, reset=30` (drafts of
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
