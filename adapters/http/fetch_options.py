"""Options of fetching: the configuration's `fetch` section, and the `limits` of a source."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network
from typing import Literal

from pydantic import ByteSize, Field, field_validator

from ...core.options import StrictModel

MAX_PAUSE = 86_400.0
"""Maximum pause in seconds; a longer requested pause ends after a day."""

SITE_FILE_LIFE = 24 * 3600.0
"""Seconds that a robots.txt is cached (RFC 9309, section 2.4)."""

Signal = Literal["robots", "x_robots_tag", "tdmrep", "aipref"]
"""An opt-out signal: robots.txt (RFC 9309), X-Robots-Tag, TDMRep, AIPREF's Content-Usage."""


class HostLimits(StrictModel):
    """Request limits of one host, for all workers together. Missing values are inherited."""

    concurrency: int | None = Field(default=None, ge=1, description="concurrent requests")
    requests_per_second: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    burst: int | None = Field(default=None, ge=1, description="requests without delay after an idle period")

    def over(self, base: HostLimits) -> HostLimits:
        """Return these limits, with missing values from `base`."""
        return HostLimits.model_validate(base.model_dump() | self.model_dump(exclude_none=True))


DEFAULT_LIMITS = HostLimits(concurrency=4, requests_per_second=5.0, burst=5)


class Timeouts(StrictModel):
    """Timeouts of each try, in seconds."""

    connect: float = Field(default=10.0, gt=0, description="name lookup, TCP and TLS together")
    total: float = Field(default=60.0, gt=0, description="from the request to the last byte")


class Breaker(StrictModel):
    """The circuit breaker of a host: after failures, pauses with one request between them."""

    failures: int = Field(default=10, ge=1, description="consecutive failures of the host before a pause")
    pause: float = Field(default=15.0, gt=0, description="seconds of the first pause; later ones are longer")
    pauses: int = Field(default=3, ge=1, description="pauses before the host is left for another run")


class SourceLimits(StrictModel):
    """The `limits` of one source; they override the limits of the `fetch` section."""

    per_host: HostLimits = Field(default_factory=HostLimits, description="limits of every host")
    hosts: dict[str, HostLimits] = Field(
        default_factory=dict, description="limits by host and its subdomains"
    )
    max_bytes: ByteSize | None = Field(default=None, gt=0, description="of a body; larger ones are rejected")
    timeout: float | None = Field(default=None, gt=0, description="seconds from the request to the last byte")


class FetchOptions(StrictModel):
    """The `fetch` section."""

    contact: str = Field(
        default="",
        pattern=r"^[\x21-\x7e]*$",
        description="contact for webmasters, an address or a page; sent with every request",
    )
    user_agent: str = Field(
        default="derlem/{version} (+{contact})",
        pattern=r"^[A-Za-z][\x20-\x7e]*$",
        description="the User-Agent header; rules of robots.txt apply to the name before the first slash",
    )
    per_host: HostLimits = Field(default=DEFAULT_LIMITS, description="request limits of every host")
    hosts: dict[str, HostLimits] = Field(
        default_factory=dict, description="limits by host, including its subdomains"
    )
    connections: int = Field(default=128, ge=1, description="concurrent requests per worker")
    timeouts: Timeouts = Field(default_factory=Timeouts)
    max_bytes: ByteSize = Field(default=ByteSize(64 * 2**20), gt=0, description="of a body, also unpacked")
    retries: int = Field(default=2, ge=0, description="further tries within a run after a transient failure")
    backoff: float = Field(
        default=1.0, gt=0, description="seconds before the second try; doubles with each try, with jitter"
    )
    max_wait: float = Field(
        default=300.0,
        ge=0,
        description="maximum pause of a host, in seconds; a host with a longer pause is left for another run",
    )
    max_pause: float = Field(
        default=MAX_PAUSE,
        gt=0,
        description="longest pause of a host, in seconds, whatever its responses ask for",
    )
    breaker: Breaker = Field(default_factory=Breaker)
    respect: tuple[Signal, ...] = Field(
        default=("robots", "x_robots_tag", "tdmrep", "aipref"),
        description="opt-outs that reject an item; other opt-outs are only recorded",
    )
    allow_private: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="private addresses or networks from which fetching is allowed"
    )
    cache: bool = Field(
        default=True, description="store fetched bodies, so that unchanged bodies are not transferred again"
    )

    @field_validator("per_host")
    @classmethod
    def _complete(cls, value: HostLimits) -> HostLimits:
        return value.over(DEFAULT_LIMITS)

    def agent(self, version: str) -> str:
        """The User-Agent header."""
        agent = self.user_agent.replace("{version}", version).replace("{contact}", self.contact)
        return agent.replace(" (+)", "")


def product_token(agent: str) -> str:
    """Return the product token of a User-Agent header, the name in robots.txt and other files."""
    return agent.partition("/")[0].partition(" ")[0]


def limits_for(host: str, options: FetchOptions, source: SourceLimits) -> HostLimits:
    """Return the complete limits of a host; limits by host or domain override limits of every host."""
    limits = source.per_host.over(options.per_host)
    for named in (options.hosts, source.hosts):
        if named and (found := _by_domain(host, named)):
            limits = found.over(limits)
    return limits


def _by_domain(host: str, named: dict[str, HostLimits]) -> HostLimits | None:
    while host:
        if host in named:
            return named[host]
        host = host.partition(".")[2]
    return None
