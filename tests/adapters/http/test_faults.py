"""Each kind of server fault has a reason code and affects only its own URL."""

from __future__ import annotations

from typing import Any

import pytest

from derlem.adapters.http.fetch_options import FetchOptions
from derlem.catalog.models import Failure, Payload
from derlem.catalog.status import Reason

FAULTS = {
    "404/x": Reason.HTTP_4XX,
    "403/x": Reason.HTTP_4XX,
    "410/x": Reason.HTTP_4XX,
    "500/x": Reason.HTTP_5XX,
    "408/x": Reason.TIMEOUT,
    "300/x": Reason.PROTOCOL,
    "304/x": Reason.PROTOCOL,
    "301/x": Reason.PROTOCOL,
    "drop/x": Reason.CONNECTION,
    "drop-late/x": Reason.CONNECTION,
    "reset/x": Reason.CONNECTION,
    "delay-9/x": Reason.TIMEOUT,
    "trickle-9/x": Reason.TIMEOUT,
    "slow-headers-9/x": Reason.TIMEOUT,
    "short/x": Reason.BODY_TRUNCATED,
    "broken-chunks-1/x": Reason.TIMEOUT,  # aiohttp reports no error after the first chunk
    "half-chunks/x": Reason.BODY_TRUNCATED,
    "html/x": Reason.NOT_IMAGE,
    "empty/x": Reason.EMPTY,
    "huge/x": Reason.BODY_TOO_LARGE,
    "announced/x": Reason.BODY_TOO_LARGE,
    "bomb/x": Reason.BODY_TOO_LARGE,
    "loop/x": Reason.REDIRECT_LOOP,
    "bounce/40": Reason.REDIRECT_LOOP,
    "to/ftp%3A%2F%2Fexample.org%2F": Reason.BAD_URL,
    "garbage/x": Reason.PROTOCOL,
    "header-flood/x": Reason.PROTOCOL,
}
WORKING = [
    "ok/1",
    "bare/1",
    "zipped/1",
    "truncated/1",  # the decoder detects damaged images
    "cut/1",
    "bounce/3",
    "flaky-503-2/1",
    "flaky-500-1/1",
    "429-seconds-1/1",
    "429-date-1/1",
    "limit-1/1",
    "resume/1",
    "long/1",  # bytes behind the body are dropped
    "delay-1/1",
]


@pytest.mark.parametrize("path", FAULTS)
def test_each_fault_has_its_reason(path: str, server: Any, fetch: Any) -> None:
    url = server.url(path)
    total = 0.6 if FAULTS[path] is Reason.TIMEOUT else 10.0
    failure = fetch(url, retries=0, timeouts={"total": total})[url]
    assert isinstance(failure, Failure)
    assert failure.reason is FAULTS[path], failure


def test_only_transient_faults_are_retried(server: Any, fetch: Any) -> None:
    urls = {path: server.url(path) for path in ("404/x", "500/x", "drop/x", "html/x", "short/x")}
    fetch(*urls.values(), retries=2)
    tries = {path: server.paths().count(f"/{path}") for path in urls}
    assert 3 <= tries.pop("drop/x") <= 5, "the end of a kept-alive connection may not be the request's fault"
    assert tries == {"404/x": 1, "500/x": 3, "html/x": 1, "short/x": 3}


def test_bodies_after_retries_are_complete(server: Any, fetch: Any, misbehaving: Any) -> None:
    results = fetch(*(server.url(path) for path in WORKING), timeouts={"total": 5})
    for url, result in results.items():
        assert isinstance(result, Payload), (url, result)
        assert result.data.startswith(b"\xff\xd8\xff")
    for kind in ("ok", "bare", "zipped", "cut"):
        assert results[server.url(f"{kind}/1")].data == misbehaving.jpeg(sum(f"/{kind}/1".encode()) % 100)


def test_faults_do_not_affect_other_urls(server: Any, fetch: Any, misbehaving: Any) -> None:
    """All faults together with many valid URLs, over five hosts, concurrently."""
    wanted: dict[str, Reason | None] = {}
    for number, host in enumerate(server.addresses):
        wanted |= {server.url(f"{path}?{number}", host): reason for path, reason in FAULTS.items()}
        wanted |= {server.url(f"ok/{place}", host): None for place in range(60)}
    results = fetch(*wanted, retries=1, timeouts={"total": 4.0})
    found = {url: getattr(result, "reason", None) for url, result in results.items()}
    assert {url: (found[url], reason) for url, reason in wanted.items() if found[url] is not reason} == {}


def test_an_interrupted_transfer_is_resumed(server: Any, fetch: Any) -> None:
    url = server.url("resume/1")
    result = fetch(url)[url]
    assert isinstance(result, Payload)
    assert len(result.data) == 2**20
    sent = [seen.body for seen in server.of(server.addresses[0], files=False)]
    assert len(sent) == 2
    assert sum(sent) < 2**20 + 300_000, "most of what came before the break must not be sent again"


def test_a_bomb_is_not_unpacked(server: Any, fetch: Any) -> None:
    url = server.url("bomb/x")
    assert fetch(url, retries=0)[url].reason is Reason.BODY_TOO_LARGE
    assert server.body_bytes() < 2**20


def test_bodies_that_are_not_images_are_not_read_completely(server: Any, fetch: Any) -> None:
    url = server.url("page")
    body = b"<html><body>" + b"x" * 1_900_000
    server.files["127.0.0.1", "/page"] = (200, {"Content-Type": "image/jpeg"}, body)
    assert fetch(url)[url].reason is Reason.NOT_IMAGE


def test_documents_are_accepted_on_request(server: Any, fetch: Any) -> None:
    url = server.url("paper.pdf")
    server.files["127.0.0.1", "/paper.pdf"] = (200, {}, b"%PDF-1.7\n" + b"x" * 2000)
    assert fetch(url)[url].reason is Reason.NOT_IMAGE
    assert isinstance(fetch(url, accept=("image/", "application/pdf"))[url], Payload)


def test_limits_of_the_source_override_the_section(server: Any, fetch: Any) -> None:
    urls = server.url("ok/1"), server.url("delay-1/x")
    results = fetch(*urls, retries=0, limits={"max_bytes": 500, "timeout": 0.3})
    assert [results[url].reason for url in urls] == [Reason.BODY_TOO_LARGE, Reason.TIMEOUT]


def test_names_that_do_not_exist(fetch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    answers = {"gone.example": socket.EAI_NONAME, "later.example": socket.EAI_AGAIN}

    def lookup(host: str, *_: object, **__: object) -> list[Any]:
        raise socket.gaierror(answers[host], "by the test")

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    results = fetch("http://gone.example/x", "http://later.example/x", retries=1)
    assert results["http://gone.example/x"].reason is Reason.DNS
    assert results["http://later.example/x"].reason is Reason.DNS_TEMPORARY


def test_a_refused_connection(fetch: Any) -> None:
    assert fetch("http://127.0.0.9:9/x", retries=0)["http://127.0.0.9:9/x"].reason is Reason.REFUSED


def test_invalid_urls_fail_without_a_request(fetch: Any, server: Any) -> None:
    urls = ["ftp://example.org/x", "http://", "nonsense", "http://user:secret@example.org/x", "http://a..b/"]
    assert {result.reason for result in fetch(*urls).values()} == {Reason.BAD_URL}


def test_a_consumer_may_stop_early(server: Any, workspace: Any, settings: Any) -> None:
    from derlem.adapters.base import Context
    from derlem.adapters.http.fetcher import Fetcher
    from derlem.catalog.models import Item

    results = Fetcher(Context(workspace, FetchOptions.model_validate(settings))).fetch(
        Item("web", server.url(f"delay-1/{number}")) for number in range(100)
    )
    next(results)
    results.close()  # type: ignore[attr-defined]  # a generator, as all of them are
    assert len(server.of("127.0.0.1", files=False)) < 100, "the rest is not fetched"


def test_look_ahead_is_bounded(server: Any, workspace: Any, settings: Any) -> None:
    from derlem.adapters.base import Context
    from derlem.adapters.http import fetcher
    from derlem.catalog.models import Item

    taken = 0

    def endless() -> Any:
        nonlocal taken
        while True:
            taken += 1
            yield Item("web", server.url(f"delay-9/{taken}"))

    settings["timeouts"] = {"total": 0.3}
    results = fetcher.Fetcher(
        Context(workspace, FetchOptions.model_validate(settings | {"retries": 0}))
    ).fetch(endless())
    next(results)
    assert taken <= fetcher.LOOK_AHEAD
    results.close()  # type: ignore[attr-defined]  # a generator, as all of them are
