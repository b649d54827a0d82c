"""The server answers its own pages alone, and no request reads, writes or runs more than a page needs."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from urllib.parse import quote, urlencode, urlsplit

import pytest

import derlem
from derlem.browse.security import COOKIE, HEADERS
from derlem.browse.server import allowed_hosts
from derlem.catalog.bounded_queries import QueryLimits
from derlem.core.errors import QueryError

from .conftest import Served, start, stop


def ask(
    served: Served,
    path: str,
    headers: dict[str, str] | None = None,
    method: str = "GET",
    body: str | None = None,
) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(urlsplit(served.address).netloc, timeout=60)
    connection.request(method, path, body, headers or {})
    answer = connection.getresponse()
    text = answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, text


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", ""],
)
def test_other_host_headers_are_refused(served: Served, host: str) -> None:
    """A site that resolves its own name to 127.0.0.1 (DNS rebinding) reads nothing."""
    port = urlsplit(served.address).port
    status, headers, text = ask(served, "/items", {"Host": host.format(port=port)})
    assert status in (400, 421) and "cell" not in text
    assert status == 400 or headers["content-security-policy"] == HEADERS["Content-Security-Policy"]


def test_own_names_are_answered_with_strict_headers(served: Served) -> None:
    port = urlsplit(served.address).port
    for name in ("127.0.0.1", "localhost", "LOCALHOST"):
        status, headers, _ = ask(served, "/", {"Host": f"{name}:{port}"})
        assert status == 200
        for header, value in HEADERS.items():
            assert headers[header.lower()] == value
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    ],
)
def test_requests_of_other_sites_are_refused(served: Served, headers: dict[str, str]) -> None:
    assert ask(served, "/sql", headers, "POST", "query=FROM+items")[0] == 403
    assert ask(served, "/items", headers)[0] == 403


def test_a_link_from_another_site_opens_a_page(served: Served) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert ask(served, "/items", headers)[0] == 200
    assert ask(served, "/sql", headers, "POST", "query=FROM+items")[0] == 403


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/static/....//app.py",
        "/../../etc/passwd",
        "/thumbnails/..%2f..%2fcatalog.duckdb",
        f"/thumbnails/{'0' * 64}",
        "/images/%00",
        "/images/..",
        "/items/..%2f..%2fetc%2fpasswd",
        "/items/x/original",
    ],
)
def test_no_path_leads_to_a_file(served: Served, path: str) -> None:
    status, _, text = ask(served, path)
    assert status in (400, 404)
    assert "root:" not in text and "create_app" not in text


@pytest.mark.parametrize(
    "query",
    [
        "min_side=x",
        "min_side=-1",
        "min_bytes=1e9",
        "after=1",
        "before=1~a~%27",
        f"text={'a' * 5000}",
        "corpus=none",
    ],
)
def test_wrong_filters_are_errors_of_the_request(served: Served, query: str) -> None:
    assert ask(served, f"/items?{query}")[0] in (400, 404)


@pytest.mark.parametrize("value", ["' OR 1=1 --", '"; DROP TABLE items', "%", "\\", "a\0b", "😀"])
def test_filters_are_values(served: Served, value: str) -> None:
    for name in ("source", "category", "text"):
        status, _, text = ask(served, f"/items?{urlencode({name: value})}")
        assert status == 200 and "No item satisfies" in text


def test_other_methods_and_large_bodies_are_refused(served: Served) -> None:
    assert ask(served, "/items", method="DELETE")[0] == 405
    assert ask(served, "/items", method="POST")[0] == 405
    assert ask(served, "/sql", method="POST", body="query=" + "x" * 70_000)[0] == 413


LIMITS = QueryLimits(seconds=2.0, rows=50)


@pytest.mark.parametrize(
    "query",
    [
        "ATTACH '{other}' AS other",
        "COPY items TO '{out}'",
        "COPY (SELECT 1) TO '{out}' (FORMAT parquet)",
        "EXPORT DATABASE '{out}'",
        "CREATE TABLE t AS SELECT 1",
        "INSERT INTO sources SELECT * FROM sources",
        "DROP TABLE items",
        "INSTALL httpfs",
        "LOAD httpfs",
        "LOAD '/tmp/evil.duckdb_extension'",
        "SET enable_external_access = true",
        "RESET lock_configuration",
        "PRAGMA enable_profiling",
        "CALL pragma_version()",
        "FROM '/etc/passwd'",
        "FROM read_text('/etc/passwd')",
        "FROM read_csv('https://example.org/x.csv')",
        "FROM read_parquet('s3://bucket/x.parquet')",
        "FROM glob('/etc/*')",
        "FROM sniff_csv('/etc/passwd')",
        "SELECT 1; SELECT 2",
        "EXPLAIN ANALYZE COPY items TO '{out}'",
        "",
        "not sql",
    ],
)
def test_queries_reach_only_the_catalog(
    browsed: derlem.Project, tmp_path_factory: pytest.TempPathFactory, query: str
) -> None:
    folder = tmp_path_factory.mktemp("query")
    with pytest.raises(QueryError):
        browsed.explore.query(query.format(out=folder / "out", other=folder / "other.db"), LIMITS)
    assert not list(folder.iterdir())


@pytest.mark.short(2)
@pytest.mark.parametrize(
    "query",
    [
        "SELECT count(*) FROM range(1000000000000) AS t(n) WHERE n % 7 = 3",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n FROM t) SELECT count(*) FROM t",
        "SELECT range(0, 3000000000)",
        "SELECT sum(a.bytes * b.bytes * c.bytes) FROM items AS a, items AS b, items AS c, items AS d, items",
        "SELECT list(n) FROM range(1000000000) AS t(n)",
    ],
)
def test_queries_without_an_end_are_ended(browsed: derlem.Project, query: str) -> None:
    started = time.monotonic()
    with pytest.raises(QueryError, match=r"longer than 2 s|[Mm]emory"):
        browsed.explore.query(query, LIMITS)
    assert time.monotonic() - started < 60  # not a measurement: the query itself takes hours


def test_a_billion_rows_are_cut(browsed: derlem.Project) -> None:
    answer = browsed.explore.query("SELECT * FROM range(1000000000)", LIMITS)
    assert len(answer.rows) == 50 and answer.more
    answer = browsed.explore.query("SELECT repeat('x', 1000000) AS long, NULL, 1.5", LIMITS)
    assert len(answer.rows[0][0] or "") < 3_000 and answer.rows[0][1:] == (None, "1.5")


@pytest.fixture(scope="module")
def guarded(browsed: derlem.Project) -> Iterator[Served]:
    running = start(browsed, "--host", "0.0.0.0")
    yield running
    stop(running)


def test_other_addresses_need_the_token(guarded: Served) -> None:
    """On all addresses any Host header is answered, so that the token alone decides."""
    found = urlsplit(guarded.address)
    token = found.query.removeprefix("token=")
    assert len(token) >= 32
    guarded.address = f"http://127.0.0.1:{found.port}"
    for headers in ({}, {"Authorization": "Bearer x"}, {"Cookie": f"{COOKIE}="}, {"Cookie": "\xff;;="}):
        status, _, text = ask(guarded, "/items", headers)
        assert status == 401 and "cell" not in text
    assert ask(guarded, "/items?token=x")[0] == 401
    status, headers, _ = ask(guarded, f"/items?source=talks&token={quote(token)}")
    assert (status, headers["location"]) == (303, "/items?source=talks")
    cookie = headers["set-cookie"]
    assert "httponly" in cookie.lower() and "samesite=strict" in cookie.lower()
    assert ask(guarded, "/items", {"Cookie": cookie.partition(";")[0]})[0] == 200
    assert ask(guarded, "/items", {"Authorization": f"Bearer {token}"})[0] == 200
    status, headers, _ = ask(guarded, f"//evil.example/?token={token}")
    assert status == 303 and headers["location"].startswith("/evil.example")


def test_the_names_of_a_server() -> None:
    assert allowed_hosts("127.0.0.1", 1) == frozenset({"127.0.0.1:1", "localhost:1", "[::1]:1"})
    assert allowed_hosts("192.0.2.1", 1) == frozenset({"192.0.2.1:1"})
    assert allowed_hosts("0.0.0.0", 1) is None
