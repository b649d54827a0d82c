"""Opt-out signals: parses signals against training use in a site's files and a response's headers.

robots.txt is RFC 9309, read by protego. `Content-Usage` (in headers and robots.txt) is AIPREF,
draft-ietf-aipref-attach-05. `tdm-reservation` (in headers, /.well-known/tdmrep.json and XMP) is TDMRep,
a W3C community group report. `X-Robots-Tag: noai, noimageai` is custom.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from multidict import CIMultiDictProxy
from protego import Protego
from yarl import URL

from ...catalog.status import Reason
from ..names import escape
from .fetch_options import Signal
from .site_files import PathRule, best_rule, comparable, tdm_rules

REASONS: Mapping[Signal, Reason] = {
    "robots": Reason.ROBOTS,
    "x_robots_tag": Reason.X_ROBOTS_TAG,
    "tdmrep": Reason.TDM_RESERVED,
    "aipref": Reason.AIPREF,
}

_NOT_AGENTS = frozenset({"unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"})
_AGENT = re.compile(r"\*|[a-z_][a-z0-9_.-]*")
_REFUSALS = frozenset({"noai", "noimageai"})
_XMP_TDM = re.compile(rb"tdm:reservation\s*(?:=\s*[\"']|>)\s*([01])")


@dataclass(slots=True)
class Verdict:
    """The signals of one URL: opt-outs in the order found, and raw values."""

    objections: list[Signal] = field(default_factory=list)
    evidence: dict[str, Any] = field(default_factory=dict)

    def object(self, signal: Signal) -> None:
        """Add an opt-out."""
        if signal not in self.objections:
            self.objections.append(signal)

    def gate(self, respect: Sequence[Signal]) -> Reason | None:
        """Return the reason of the first respected opt-out, or None."""
        if not self.objections:
            return None
        return next((REASONS[signal] for signal in self.objections if signal in respect), None)

    @property
    def as_meta(self) -> dict[str, Any]:
        """Fields for an item's `meta`: the raw values, and the names of opt-outs, if any."""
        objections = {"opt_outs": list(self.objections)} if self.objections else {}
        return {"opt_out": self.evidence, **objections}


class OriginPolicy:
    """The policy of one origin: its robots.txt and tdmrep.json, with the time of the request."""

    def __init__(
        self,
        agent: str,
        origin: str,
        read_at: float,
        robots_status: int,
        robots: str | None,
        tdmrep: str | None,
    ) -> None:
        """`agent` is the product token, `read_at` seconds since the epoch; None: a missing file."""
        self.read_at = read_at
        at = datetime.fromtimestamp(read_at, UTC).isoformat(timespec="seconds")
        self._agent = agent
        self._stamp = {"site_files_read_at": at, "robots_txt_status": robots_status}
        self._robots = Protego.parse(robots) if robots and robots.strip() else None
        self._usage = usage_rules(robots, agent) if robots else []
        self._tdm = tdm_rules(tdmrep, origin) if tdmrep else []

    @property
    def crawl_delay(self) -> float | None:
        """Seconds between two requests, by the crawl delay of robots.txt."""
        if self._robots is None:
            return None
        delays = []
        if (delay := self._robots.crawl_delay(self._agent)) is not None:
            delays.append(float(delay))
        if (rate := self._robots.request_rate(self._agent)) is not None and rate.requests:
            delays.append(rate.seconds / rate.requests)
        return max(delays, default=None)

    def allows(self, url: str) -> bool:
        """Return whether robots.txt allows a URL."""
        return self._robots is None or bool(self._robots.can_fetch(url, self._agent))

    def before(self, url: URL) -> Verdict:
        """Return the signals of a URL before its request: robots.txt and its Content-Usage lines."""
        verdict = Verdict(evidence=dict(self._stamp))
        if self._robots is not None:
            allowed = self.allows(str(url))
            verdict.evidence["robots_txt_allows"] = allowed
            if not allowed:
                verdict.object("robots")
        if self._usage and (rule := best_rule(self._usage, comparable(url.raw_path_qs))) is not None:
            verdict.evidence["robots_txt_content_usage"] = rule.raw
            if rule.refuses:
                verdict.object("aipref")
        return verdict

    def after(self, verdict: Verdict, url: URL, headers: CIMultiDictProxy[str]) -> None:
        """Add the signals of a response's headers, and tdmrep.json, which headers override."""
        if tags := headers.getall("X-Robots-Tag", ()):
            verdict.evidence["x_robots_tag"] = [escape(tag) for tag in tags]
            if tags_refuse(tags, self._agent):
                verdict.object("x_robots_tag")
        if usage := headers.getall("Content-Usage", ()):
            verdict.evidence["content_usage"] = [escape(value) for value in usage]
            if usage_refuses(",".join(usage)):
                verdict.object("aipref")
        rule = best_rule(self._tdm, comparable(url.raw_path_qs)) if self._tdm else None
        if rule is not None:
            verdict.evidence["tdmrep_json"] = rule.raw
        reserved = rule is not None and rule.refuses
        if (header := headers.get("tdm-reservation")) is not None:
            verdict.evidence["tdm_reservation"] = escape(header)
            if header.strip() in ("0", "1"):
                reserved = header.strip() == "1"
            if (policy := headers.get("tdm-policy")) is not None:
                verdict.evidence["tdm_policy"] = escape(policy)
        if reserved:
            verdict.object("tdmrep")


def inside(verdict: Verdict, body: bytes) -> None:
    """Add the signal of a PDF's metadata (XMP), which overrides all other TDMRep signals."""
    found = _XMP_TDM.findall(body)
    if not found:
        return
    verdict.evidence["xmp_tdm_reservation"] = found[-1].decode()  # incremental updates append
    if found[-1] == b"1":
        verdict.object("tdmrep")
    elif "tdmrep" in verdict.objections:
        verdict.objections.remove("tdmrep")


def tags_refuse(values: Iterable[str], agent: str) -> bool:
    """Return whether X-Robots-Tag headers contain `noai` or `noimageai` for all agents or for `agent`.

    A name with a colon applies to the following values of its header. Dates contain commas and colons, too.
    """
    for value in values:
        ours = True
        for part in re.split("[,;]", value.lower()):
            name, colon, rest = part.strip().partition(":")
            if colon and _AGENT.fullmatch(name.strip()) and name.strip() not in _NOT_AGENTS:
                ours = name.strip() in (agent.lower(), "*")
                part = rest
            if ours and not _REFUSALS.isdisjoint(part.replace('"', " ").replace("'", " ").split()):
                return True
    return False


def usage_refuses(value: str) -> bool:
    """Return whether a Content-Usage dictionary (RFC 9651) contains `train-ai=n`, even beside `y`."""
    return any(
        name.strip().lower() == "train-ai" and preference.partition(";")[0].strip() == "n"
        for name, _, preference in (member.partition("=") for member in value.split(","))
    )


def usage_rules(robots: str, agent: str) -> list[PathRule]:
    """Return the Content-Usage lines of the robots.txt group for `agent`, or else for all agents."""
    groups: dict[str, list[PathRule]] = {}
    names = ["*"]  # lines before the first group apply to all agents
    in_header = False
    for line in robots.splitlines():
        key, colon, value = line.partition("#")[0].partition(":")
        key, value = key.strip().lower(), value.strip()
        if not colon:
            continue
        if key == "user-agent":
            names = [*names, value.lower()] if in_header else [value.lower()]
            in_header = True
            groups.setdefault(value.lower(), [])
            continue
        in_header = False
        if key == "content-usage":
            path, _, preference = value.partition(" ") if value.startswith("/") else ("/", "", value)
            if "train-ai" in preference.lower():
                rule = PathRule(comparable(path), usage_refuses(preference), value)
                for name in names:
                    groups.setdefault(name, []).append(rule)
    return groups.get(agent.lower(), groups.get("*", []))
