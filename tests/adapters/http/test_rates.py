"""Rates, concurrency and pauses hold per host, as measured by the server."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derlem import __version__
from derlem.adapters.http.fetch_options import FetchOptions, HostLimits, SourceLimits, limits_for
from derlem.adapters.http.policy import exhausted_for, retry_after
from derlem.catalog.models import Failure, Payload
from derlem.catalog.status import Reason


def test_rate_and_concurrency_as_the_server_measured_them(server: Any, fetch: Any) -> None:
    hosts = server.addresses[:3]
    urls = [server.url(f"ok/{number}", host) for number in range(25) for host in hosts]
    started = time.monotonic()
    fetch(
        *urls,
        per_host={"concurrency": 2, "requests_per_second": 40.0, "burst": 3},
        hosts={hosts[1]: {"requests_per_second": 20.0, "burst": 1}},
        limits={"hosts": {hosts[2]: {"concurrency": 1}}},
    )
    assert time.monotonic() - started > 27 / 20 - 0.2
    # At most two requests are in transit, and may arrive closer together than they were sent.
    assert server.excess(hosts[0], 40.0, 3) <= 1
    assert server.excess(hosts[1], 20.0, 1) <= 1
    assert server.busiest(hosts[0]) <= 2
    assert server.busiest(hosts[2]) == 1


def test_a_large_host_does_not_delay_small_hosts(server: Any, fetch: Any) -> None:
    big, small = server.addresses[:2]
    urls = [server.url(f"ok/{number}", big) for number in range(40)]
    urls += [server.url(f"ok/{number}", small) for number in range(5)]
    fetch(*urls, per_host={"concurrency": 1, "requests_per_second": 30.0, "burst": 1}, connections=2)
    last_small = server.of(small)[-1].began
    assert sum(seen.began > last_small for seen in server.of(big)) > 20


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_pauses_the_host(form: str, server: Any, fetch: Any) -> None:
    wait = 2 if form == "seconds" else 3  # a date has no fractions
    urls = [server.url(f"429-{form}-{wait}/0"), *(server.url(f"ok/{number}") for number in range(10))]
    results = fetch(*urls, per_host={"concurrency": 1})
    assert all(isinstance(result, Payload) for result in results.values())
    seen = server.of("127.0.0.1", files=False)
    assert seen[0].status == 429
    assert seen[1].began - seen[0].ended > (1.95 if form == "seconds" else 1.8)


def test_a_pause_continues_after_a_restart(server: Any, fetch: Any) -> None:
    """Another fetcher with the same ledger, as after a restart, waits for the end of the pause."""
    first, second = server.url("429-seconds-3/0"), server.url("ok/1")
    failure = fetch(first, retries=0)[first]
    assert failure.reason is Reason.HTTP_429
    assert isinstance(fetch(second)[second], Payload)
    seen = server.of("127.0.0.1", files=False)
    assert seen[1].began - seen[0].ended > 2.95


def test_a_pause_beyond_max_wait_leaves_the_host_for_another_run(server: Any, fetch: Any) -> None:
    server.files["127.0.0.1", "/full"] = (429, {"Retry-After": "3600"}, b"")
    urls = [server.url("full"), *(server.url(f"ok/{number}") for number in range(20))]
    other = server.url("ok/1", "127.0.0.2")
    results = fetch(*urls, other, per_host={"concurrency": 1}, max_wait=60)
    assert {results[url].reason for url in urls} == {Reason.HTTP_429}
    assert isinstance(results[other], Payload)
    again = fetch(*urls[1:], max_wait=60)  # a later run reads the pause from the ledger
    assert {result.reason for result in again.values()} == {Reason.HTTP_429}
    assert len(server.paths()) == 1


def test_a_pause_without_bound_is_cut(server: Any, fetch: Any) -> None:
    server.files["127.0.0.1", "/full"] = (429, {"Retry-After": "999999999"}, b"")
    first, second = server.url("full"), server.url("ok/1")
    assert fetch(first, retries=0, max_pause=1.5)[first].reason is Reason.HTTP_429
    assert isinstance(fetch(second, max_pause=1.5)[second], Payload)


def test_a_crawl_delay_beyond_max_wait_leaves_the_host_for_another_run(
    server: Any, fetch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    robots = b"User-agent: *\nCrawl-delay: 3600\n"
    server.files["127.0.0.1", "/robots.txt"] = (200, {}, robots)
    urls = [server.url(f"ok/{number}") for number in range(5)]
    results = list(fetch(*urls, max_wait=10).values())
    assert sum(isinstance(result, Payload) for result in results) == 1
    left = [result for result in results if isinstance(result, Failure)]
    assert {failure.reason for failure in left} == {Reason.HTTP_429}
    assert all("3600 s between two requests" in failure.detail for failure in left)
    assert sum("left for another run" in record.getMessage() for record in caplog.records) == 1
    again = fetch(*urls, max_wait=10)  # the ledger has the pause
    assert not any(isinstance(result, Payload) for result in again.values())
    assert len(server.paths()) == 1
    ignoring = fetch(*urls, max_wait=10, respect=["tdmrep"])
    assert not any(isinstance(result, Payload) for result in ignoring.values())  # the pause lasts


@pytest.mark.parametrize("delay", ["inf", "nan", "-5", "soon", "1e300"])
def test_invalid_crawl_delays_are_ignored(delay: str, server: Any, fetch: Any) -> None:
    robots = f"User-agent: *\nCrawl-delay: {delay}\n".encode()
    server.files["127.0.0.1", "/robots.txt"] = (200, {}, robots)
    urls = [server.url(f"ok/{number}") for number in range(3)]
    results = fetch(*urls)
    assert sum(isinstance(result, Payload) for result in results.values()) == (1 if delay == "1e300" else 3)


def test_an_exhausted_rate_limit_pauses_the_host(server: Any, fetch: Any) -> None:
    urls = [server.url("limit-2/0"), server.url("ok/1")]
    fetch(*urls, per_host={"concurrency": 1})
    seen = server.of("127.0.0.1", files=False)
    assert seen[1].began - seen[0].ended > 1.9


def test_a_burst_of_503_pauses_the_host(server: Any, fetch: Any) -> None:
    urls = [server.url("burst-503-2/0"), *(server.url(f"ok/{number}") for number in range(10))]
    results = fetch(*urls, per_host={"concurrency": 1})
    assert all(isinstance(result, Payload) for result in results.values())
    statuses = [seen.status for seen in server.of("127.0.0.1", files=False)]
    assert statuses.count(503) == 1


def test_a_host_that_is_down_is_paused_then_left(server: Any, fetch: Any) -> None:
    urls = [server.url(f"drop/{number}") for number in range(60)]
    fine = server.url("ok/1", "127.0.0.2")
    breaker = {"failures": 5, "pause": 0.3, "pauses": 2}
    results = fetch(*urls, fine, breaker=breaker, retries=0, per_host={"concurrency": 2})
    reasons = [results[url].reason for url in urls]
    assert set(reasons) == {Reason.CONNECTION, Reason.HOST_DOWN}
    assert reasons.count(Reason.CONNECTION) <= len(server.paths()) <= 5 + 2 + 2 + 2
    assert isinstance(results[fine], Payload)


def test_a_host_that_recovers_is_used_again(server: Any, fetch: Any) -> None:
    urls = [server.url(f"drop/{number}") for number in range(5)]
    urls += [server.url(f"ok/{number}") for number in range(20)]
    breaker = {"failures": 5, "pause": 0.3, "pauses": 2}
    results = fetch(*urls, breaker=breaker, retries=0, per_host={"concurrency": 1})
    assert sum(isinstance(result, Payload) for result in results.values()) == 20


def test_the_user_agent(server: Any, fetch: Any) -> None:
    url = server.url("ok/1")
    fetch(url, contact="https://example.org/bot")
    fetch(url)
    agents = [seen.headers["user-agent"] for seen in server.of("127.0.0.1", files=False)]
    assert agents == [f"derlem/{__version__} (+https://example.org/bot)", f"derlem/{__version__}"]
    assert not any("cookie" in seen.headers for seen in server.requests)


def test_cookies_are_not_kept(server: Any, fetch: Any, misbehaving: Any) -> None:
    server.files["127.0.0.1", "/a"] = (200, {"Set-Cookie": "id=1"}, misbehaving.jpeg())
    fetch(server.url("a"), server.url("ok/1"), per_host={"concurrency": 1})
    assert not any("cookie" in seen.headers for seen in server.requests)


def test_the_client_does_not_repeat_requests(server: Any, fetch: Any) -> None:
    """HTTP clients repeat a request if a reused connection ends; the fetcher schedules the next try."""
    urls = [server.url("ok/1"), server.url("drop/x")]
    results = fetch(*urls, retries=0, per_host={"concurrency": 1, "requests_per_second": 4.0, "burst": 1})
    assert results[urls[1]].reason is Reason.CONNECTION
    began = [seen.began for seen in server.requests]
    assert server.paths() == ["/ok/1", "/drop/x", "/drop/x"]
    assert all(later - earlier > 0.2 for earlier, later in pairwise(began))


def test_closed_connections_do_not_fail_jobs(server: Any, fetch: Any) -> None:
    urls = [server.url(f"cut/{number}") for number in range(100)]
    results = fetch(*urls, retries=0)
    assert all(isinstance(result, Payload) for result in results.values())


def test_specific_limits_override_general_limits() -> None:
    options = FetchOptions(
        per_host=HostLimits(concurrency=3),
        hosts={"example.org": HostLimits(burst=1), "img.example.org": HostLimits(concurrency=9)},
    )
    source = SourceLimits(
        per_host=HostLimits(requests_per_second=2.0), hosts={"example.org": HostLimits(concurrency=1)}
    )
    common = HostLimits(concurrency=3, requests_per_second=2.0, burst=5)
    assert limits_for("other.net", options, source) == common
    assert limits_for("a.example.org", options, source) == common.model_copy(
        update={"burst": 1, "concurrency": 1}
    )
    assert limits_for("img.example.org", options, SourceLimits()).concurrency == 9
    assert limits_for("notexample.org", options, source) == common


@given(st.text(max_size=40))
def test_any_header_gives_a_pause_or_none(value: str) -> None:
    wait = retry_after(value, 1e9)
    assert wait is None or wait >= 0
    waits = exhausted_for({"RateLimit": value, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": value}, 1e9)
    assert waits is None or waits >= 0


def test_waiting_headers() -> None:
    wall = 1_784_116_800.0  # Wed, 15 Jul 2026 12:00:00 GMT
    assert retry_after("120", wall) == 120
    assert retry_after("Wed, 15 Jul 2026 12:00:30 GMT", wall) == 30
    assert retry_after("Wednesday, 15-Jul-26 12:00:30 GMT", wall) == 30
    assert retry_after("Wed Jul 15 12:00:30 2026", wall) == 30
    assert retry_after("Wed, 15 Jul 2020 12:00:30 GMT", wall) == 0
    assert retry_after("soon", wall) is None
    assert exhausted_for({"RateLimit": '"burst";r=3;t=1, "daily";r=0;t=60'}, wall) == 60
    assert exhausted_for({"RateLimit": "limit=10, remaining=0, reset=7"}, wall) == 7
    assert exhausted_for({"RateLimit": '"default";r=5;t=60'}, wall) is None
    assert exhausted_for({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(wall) + 9)}, wall) == 9
    assert exhausted_for({"RateLimit-Remaining": "0", "RateLimit-Reset": "5"}, wall) == 5
    assert exhausted_for({"RateLimit-Remaining": "1", "RateLimit-Reset": "5"}, wall) is None
    assert exhausted_for({}, wall) is None


def test_failures_map_to_reasons(server: Any, fetch: Any) -> None:
    url = server.url("404/x")
    failure = fetch(url)[url]
    assert isinstance(failure, Failure)
    assert failure.meta["http_status"] == 404
