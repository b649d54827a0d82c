"""Opt-outs from training use are respected in every supported signal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from derlem.adapters.http.optouts import (
    OriginPolicy,
    Verdict,
    inside,
    tags_refuse,
    usage_refuses,
    usage_rules,
)
from derlem.adapters.http.site_files import best_rule, comparable, path_matches, site_text, tdm_rules
from derlem.catalog.models import Failure, Payload
from derlem.catalog.status import Reason

IMAGE = b"\xff\xd8\xff" + b"x" * 2000
SIGNALS: dict[str, tuple[dict[str, tuple[dict[str, str], bytes]], Reason]] = {
    "robots": ({"/robots.txt": ({}, b"User-agent: *\nDisallow: /p\n")}, Reason.ROBOTS),
    "robots for us": (
        {"/robots.txt": ({}, b"User-agent: *\nAllow: /\n\nUser-agent: Derlem\nDisallow: /\n")},
        Reason.ROBOTS,
    ),
    "x_robots_tag": ({"/p.jpg": ({"X-Robots-Tag": "noindex, NoAI"}, IMAGE)}, Reason.X_ROBOTS_TAG),
    "tdm header": ({"/p.jpg": ({"tdm-reservation": "1"}, IMAGE)}, Reason.TDM_RESERVED),
    "tdm file": (
        {"/.well-known/tdmrep.json": ({}, b'[{"location": "/p*", "tdm-reservation": 1}]')},
        Reason.TDM_RESERVED,
    ),
    "tdm pdf": (
        {"/p.jpg": ({}, b"%PDF-1.7\n<tdm:reservation>1</tdm:reservation>" + b"x" * 2000)},
        Reason.TDM_RESERVED,
    ),
    "aipref header": ({"/p.jpg": ({"Content-Usage": "train-ai=n, search=y"}, IMAGE)}, Reason.AIPREF),
    "aipref robots": (
        {"/robots.txt": ({}, b"User-Agent: *\nAllow: /\nContent-Usage: train-ai=n\n")},
        Reason.AIPREF,
    ),
}


@pytest.fixture
def site(server: Any) -> Any:
    """Serves an image at /p.jpg, and other given files."""

    def serve(files: dict[str, tuple[dict[str, str], bytes]]) -> str:
        server.files["127.0.0.1", "/p.jpg"] = (200, {}, IMAGE)
        for path, (headers, body) in files.items():
            server.files["127.0.0.1", path] = (200, headers, body)
        return str(server.url("p.jpg"))

    return serve


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_opt_out_rejects_the_item_with_evidence(signal: str, site: Any, fetch: Any) -> None:
    files, reason = SIGNALS[signal]
    url = site(files)
    failure = fetch(url, accept=("image/", "application/pdf"))[url]
    assert isinstance(failure, Failure)
    assert failure.reason is reason
    assert failure.meta["opt_out"]["site_files_read_at"]


@pytest.mark.parametrize("signal", SIGNALS)
def test_an_ignored_signal_is_recorded(signal: str, site: Any, fetch: Any) -> None:
    files, _ = SIGNALS[signal]
    url = site(files)
    payload = fetch(url, respect=[], accept=("image/", "application/pdf"))[url]
    assert isinstance(payload, Payload)
    evidence = payload.meta["opt_out"]
    assert len(evidence) > 2 or evidence["robots_txt_allows"] is False


def test_disallowed_urls_are_not_requested(site: Any, server: Any, fetch: Any) -> None:
    fetch(site({"/robots.txt": ({}, b"User-agent: *\nDisallow: /\n")}))
    assert server.paths() == []


def test_bodies_with_an_opt_out_are_not_read(server: Any, fetch: Any) -> None:
    server.files["127.0.0.1", "/big"] = (200, {"X-Robots-Tag": "noimageai"}, IMAGE * 900)
    assert fetch(server.url("big"))[server.url("big")].reason is Reason.X_ROBOTS_TAG


def test_a_redirect_is_checked_against_its_target(server: Any, fetch: Any) -> None:
    server.files["127.0.0.2", "/robots.txt"] = (200, {}, b"User-agent: *\nDisallow: /ok\n")
    target = server.url("ok/1", "127.0.0.2")
    server.files["127.0.0.1", "/away"] = (302, {"Location": target}, b"")
    url = server.url("away")
    assert fetch(url)[url].reason is Reason.ROBOTS
    assert server.paths("127.0.0.2") == []


@pytest.mark.parametrize(
    ("status", "expected"),
    [(404, None), (403, None), (401, None), (500, Reason.HTTP_5XX), (503, Reason.HTTP_5XX)],
)
def test_an_unreachable_robots_txt(
    status: int, expected: Reason | None, site: Any, server: Any, fetch: Any
) -> None:
    """RFC 9309: a missing file allows all URLs, an unreachable file forbids all URLs."""
    url = site({})
    server.files["127.0.0.1", "/robots.txt"] = (status, {}, b"")
    result = fetch(url, retries=1)[url]
    assert getattr(result, "reason", None) is expected
    assert len(server.paths()) == (1 if expected is None else 0)
    if expected is not None:
        assert expected.transient
        assert isinstance(fetch(url, respect=[], retries=1)[url], Payload)


def test_a_robots_txt_behind_redirects(site: Any, server: Any, fetch: Any) -> None:
    url = site({"/r5": ({}, b"User-agent: *\nDisallow: /\n")})
    server.files["127.0.0.1", "/robots.txt"] = (301, {"Location": "/r1"}, b"")
    for step in range(1, 5):
        server.files["127.0.0.1", f"/r{step}"] = (301, {"Location": f"/r{step + 1}"}, b"")
    assert fetch(url)[url].reason is Reason.ROBOTS


def test_site_files_are_requested_once_and_stored(site: Any, server: Any, fetch: Any) -> None:
    first = site({"/robots.txt": ({}, b"User-agent: *\nAllow: /\n")})
    fetch(first, *(server.url(f"ok/{number}") for number in range(20)))
    fetch(server.url("ok/99"))  # as after a restart
    read = [seen.path for seen in server.of("127.0.0.1") if seen.path not in server.paths()]
    assert sorted(read) == ["/.well-known/tdmrep.json", "/robots.txt"]


def test_crawl_delay_limits_the_rate(site: Any, server: Any, fetch: Any) -> None:
    site({"/robots.txt": ({}, b"User-agent: *\nCrawl-delay: 0.4\n")})
    fetch(*(server.url(f"ok/{number}") for number in range(4)))
    seen = server.of("127.0.0.1", files=False)
    assert seen[-1].began - seen[0].began > 1.15


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["noai"], True),
        (["NOIMAGEAI"], True),
        (["noindex, nofollow"], False),
        (["otherbot: noai"], False),
        (["otherbot: nofollow, noai"], False),
        (["otherbot: noai", "noai"], True),
        (["Derlem: noindex, noai"], True),
        (["*: noai"], True),
        (["unavailable_after: 25 Jun 2030 15:00:00 PST, noai"], True),
        (["max-snippet: 20, noai"], True),
        ([], False),
    ],
)
def test_x_robots_tag(values: list[str], expected: bool) -> None:
    assert tags_refuse(values, "derlem") is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("train-ai=n", True),
        ("search=y, train-ai=n", True),
        ("train-ai=n;note=1", True),
        ("train-ai=y", False),
        ("train-ai=y, train-ai=n", True),
        ("search=n", False),
        ("train-ai", False),
        ("", False),
    ],
)
def test_content_usage(value: str, expected: bool) -> None:
    assert usage_refuses(value) is expected


def test_content_usage_in_robots_txt() -> None:
    robots = """
    User-agent: other
    Content-Usage: train-ai=n

    User-agent: *
    User-agent: third
    Allow: /
    Content-Usage: train-ai=y
    Content-Usage: /art/ train-ai=n
    Content-Usage: /art/free train-ai=y  # our own
    """
    rules = usage_rules(robots, "derlem")
    refused = {path: best_rule(rules, path).refuses for path in ("/", "/art/a", "/art/free/b")}  # type: ignore[union-attr]  # all match
    assert refused == {"/": False, "/art/a": True, "/art/free/b": False}
    assert [rule.refuses for rule in usage_rules(robots, "Other")] == [True]
    assert best_rule(usage_rules("Content-Usage: /x train-ai=n", "derlem"), "/xy").refuses  # type: ignore[union-attr]  # it matches


def test_tdmrep_precedence() -> None:
    """Headers override the file, metadata of a PDF overrides both; a missing signal changes nothing."""
    policy = OriginPolicy(
        "derlem", "http://a.example:80", 0.0, 404, None, '[{"location": "/", "tdm-reservation": 1}]'
    )

    def verdict(headers: dict[str, str], body: bytes = b"") -> bool:
        found = policy.before(URL("http://a/x"))
        policy.after(found, URL("http://a/x"), CIMultiDictProxy(CIMultiDict(headers)))
        inside(found, body)
        return "tdmrep" in found.objections

    assert verdict({})
    assert not verdict({"tdm-reservation": "0"})
    assert verdict({"tdm-reservation": "nonsense"})
    assert verdict({"tdm-reservation": "0"}, b'<x tdm:reservation="1"/>')
    assert not verdict({}, b"<tdm:reservation>0</tdm:reservation>")


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"location": 5}', "[" * 5000, "null"])
def test_a_malformed_tdmrep_has_no_rules(text: str) -> None:
    assert tdm_rules(text, "http://a.example:80") == []


def test_a_single_tdmrep_rule_without_a_list() -> None:
    assert [
        rule.refuses
        for rule in tdm_rules(json.dumps({"location": "/", "tdm-reservation": "1"}), "http://a.example:80")
    ] == [True]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/", "/a", True),
        ("/a", "/b", False),
        ("/*.jpg", "/x/y.jpg?z", True),
        ("/*.jpg$", "/x/y.jpg?z", False),
        ("/*.jpg$", "/x.jpg/y.jpg", True),
        ("/a$", "/a", True),
        ("/a$", "/ab", False),
        ("*", "/anything", True),
        ("/a*b*c", "/a1b2c3", True),
        ("/a*b*c", "/a1c2b3", False),
        ("/ab*b$", "/ab", False),
    ],
)
def test_path_patterns(pattern: str, path: str, expected: bool) -> None:
    assert path_matches(pattern, path) is expected


@given(st.text(alphabet="/ab*$", max_size=12), st.text(alphabet="/ab", max_size=12))
def test_path_patterns_equal_regular_expressions(pattern: str, path: str) -> None:
    import re

    body = pattern.removesuffix("$")
    expression = ".*".join(re.escape(part) for part in body.split("*")) + (
        r"\Z" if pattern.endswith("$") else ""
    )
    assert path_matches(pattern, path) is bool(re.match(expression, path))


@given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=40))
def test_any_site_file_is_parsed(robots: str, tdmrep: str, tag: str) -> None:
    policy = OriginPolicy("derlem", "http://a.example:80", 0.0, 200, robots, tdmrep)
    url = URL("http://a.example/x")
    verdict = policy.before(url)
    headers = CIMultiDictProxy(
        CIMultiDict({"X-Robots-Tag": tag, "Content-Usage": tag, "tdm-reservation": tag})
    )
    policy.after(verdict, url, headers)
    json.dumps(verdict.evidence)
    assert isinstance(verdict, Verdict)


DATES = ["Sat, 25 Jun 2010 15:00:00 GMT", "Saturday, 25-Jun-10 15:00:00 GMT", "2010-06-25T15:00:00+02:00"]


@pytest.mark.parametrize("date", DATES)
def test_dates_in_x_robots_tag_do_not_hide_rules(date: str) -> None:
    for value in (f"unavailable_after: {date}, noai", f"noai, unavailable_after: {date}"):
        assert tags_refuse([value], "derlem") and tags_refuse([value.upper()], "derlem")
    assert tags_refuse([f"derlem: unavailable_after: {date}, noai"], "derlem")
    assert not tags_refuse([f"otherbot: unavailable_after: {date}, noai"], "derlem")
    assert not tags_refuse([f"unavailable_after: {date}"], "derlem")


@pytest.mark.parametrize(
    ("value", "refuses"),
    [
        ("max-image-preview:large, noai", True),
        ("noai, otherbot: noindex", True),
        ("otherbot: noindex, *: noimageai", True),
        ('"noai"', True),
        ("noindex; noai", True),
        ("noindex noimageai", True),
        ("otherbot: noai", False),
        ("otherbot: noindex, noai", False),
        ("none", False),
        ("noairplanes", False),
    ],
)
def test_x_robots_tag_in_other_spellings(value: str, refuses: bool) -> None:
    assert tags_refuse([value], "derlem") is refuses


@pytest.mark.parametrize("spelled", ["/görsel/", "/g%C3%B6rsel/", "/g%c3%b6rsel/", "/g%c3%b6rs%65l/"])
@pytest.mark.parametrize("requested", ["/görsel/a.jpg", "/g%C3%B6rsel/a.jpg", "/g%c3%b6rse%6c/a.jpg"])
def test_equivalent_paths_are_equal(spelled: str, requested: str) -> None:
    url = URL(f"http://a.example{requested}", encoded=True)
    robots = f"User-agent: *\nContent-Usage: {spelled} train-ai=n\n"
    tdmrep = json.dumps([{"location": f"{spelled}*", "tdm-reservation": 1}])
    policy = OriginPolicy("derlem", "http://a.example:80", 0.0, 200, robots, tdmrep)
    verdict = policy.before(url)
    assert verdict.objections == ["aipref"]
    policy.after(verdict, url, CIMultiDictProxy(CIMultiDict()))
    assert verdict.objections == ["aipref", "tdmrep"]
    assert comparable("/a%2Fb") != comparable("/a/b")  # an escaped slash is not a separator


@pytest.mark.parametrize(
    ("location", "matches"),
    [
        ("http://a.example/art/", True),
        ("HTTPS://A.example/art/", True),
        ("http://b.example/art/", False),
        ("art/", True),
        ("/art/", True),
        ("/other/", False),
    ],
)
def test_locations_that_are_urls(location: str, matches: bool) -> None:
    text = json.dumps([{"location": location, "tdm-reservation": 1}])
    rule = best_rule(tdm_rules(text, "http://a.example:80"), "/art/1.jpg")
    assert (rule is not None) is matches


def test_a_truncated_robots_txt_ends_at_a_line() -> None:
    body = b"User-agent: *\nDisallow: /private\nDisallow: /art/of/others\n"
    whole = site_text(body, 1000)
    assert whole == body.decode()
    for limit in range(35, len(body) - 1):
        rules = site_text(body, limit).splitlines()
        assert rules == body.decode().splitlines()[: len(rules)]
    for encoding in ("utf-8-sig", "utf-16"):
        assert site_text(body.decode().encode(encoding)) == body.decode()
