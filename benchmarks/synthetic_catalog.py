"""Creates a catalog of any size in SQL, with realistic properties: skewed strata and few duplicates.

    python benchmarks/synthetic_catalog.py WORKSPACE ROWS

The sources are URL lists, and the items equal those of a listing of `write_lists`. 1,110 categories in
three levels times ten sources give 11,100 strata; an item falls into one by a power law, so that the
largest stratum is some thousand times the smallest. All values are computed from the row's number, so that
the same size gives the same catalog on any machine.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from derlem.catalog.connection import read_catalog, transaction, write_catalog
from derlem.catalog.counts import recount
from derlem.core.workspace import Workspace
from derlem.sampling.dedup_index import refresh

CHUNK = 2_000_000
DUPLICATES = 50
"""Every n-th item has the bytes of an earlier item."""

SOURCES = """
INSERT INTO sources
SELECT 'source-' || n, n, 'urls', 'CC0-1.0', NULL, '{}', '', TIMESTAMP '2026-01-01', NULL, ''
FROM range(10) AS t(n)
"""

SEGMENTS = """
INSERT INTO segments
SELECT
    segment,
    source,
    CAST(right(segment, 6) AS INTEGER),
    'ingest',
    'synthetic',
    count(*),
    1024,
    TIMESTAMP '2026-01-01'
FROM items
GROUP BY segment, source
"""

ITEMS = """
INSERT INTO items BY NAME
WITH drawn AS (
    SELECT
        n,
        CAST('0x' || substr(md5('s' || n), 1, 8) AS BIGINT) / 4294967296.0 AS u,
        CAST('0x' || substr(md5('s' || n), 9, 8) AS BIGINT) / 4294967296.0 AS v,
        CASE WHEN n % $duplicates = 1 THEN n - 1 ELSE n END AS content
    FROM range($first, $last) AS t(n)
), placed AS (
    SELECT *, CAST(floor(1110 * pow(u, 2.5)) AS INTEGER) AS c, CAST(floor(10 * pow(v, 2)) AS INTEGER) AS s
    FROM drawn
), listed AS (
    SELECT
        *,
        'source-' || s AS source,
        'https://images-' || n % 1000 || '.example.org/image-' || n || '.jpg' AS uri,
        CASE WHEN c < 10 THEN 'c' || c
             WHEN c < 110 THEN 'c' || c % 10 || '/d' || (c // 10)
             ELSE 'c' || c % 10 || '/d' || (1 + (c // 10) % 10) || '/e' || (c // 100) || c % 100
        END AS category,
        'An image numbered ' || n AS caption
    FROM placed
)
SELECT
    left(sha256(source || chr(0) || uri || chr(0)), 32) AS item_id,
    source,
    uri,
    '' AS locator,
    n AS ordinal,
    '' AS partition_key,
    category,
    'image/jpeg' AS media_type,
    'ready' AS status,
    1 AS attempts,
    1 AS images,
    sha256('b' || content) AS sha256,
    sha256('o' || content) AS original_sha256,
    substr(md5('h' || content), 1, 16) AS dhash,
    640 AS width,
    480 AS height,
    35000 AS bytes,
    n * 36352 AS "offset",
    35000 AS "length",
    caption,
    'en' AS language,
    'CC0-1.0' AS license,
    '{}' AS meta,
    '{}' AS locator_state,
    '' AS revision,
    '' AS image_revision,
    left(md5(concat_ws(chr(31), '', category, caption, chr(0), 'en', 'CC0-1.0', chr(0), '{}', '{}')), 16)
        AS record_hash,
    $options_hash AS options_hash,
    'synthetic' AS run,
    TIMESTAMP '2026-01-01' AS discovered_at,
    TIMESTAMP '2026-01-01' AS updated_at,
    source || '/' || lpad(CAST(1 + n * $segments // $rows AS VARCHAR), 6, '0') AS segment
FROM listed
ORDER BY s, n
"""


def make(workspace: Workspace, rows: int, segments: int = 10, options_hash: str = "") -> None:
    """Fill a new workspace's catalog with `rows` ready items, in about that many segments.

    `options_hash` is that of the options behind their outcomes.
    """
    with write_catalog(workspace) as connection, transaction(connection):
        connection.execute(SOURCES)
    grow(workspace, 0, rows, segments, options_hash)
    with write_catalog(workspace) as connection, transaction(connection):
        connection.execute(SEGMENTS)


def grow(workspace: Workspace, first: int, last: int, segments: int = 10, options_hash: str = "") -> None:
    """Add the items numbered `first` to `last - 1`."""
    with write_catalog(workspace) as connection:
        for start in range(first, last, CHUNK):
            with transaction(connection):
                span = {"first": start, "last": min(start + CHUNK, last), "duplicates": DUPLICATES}
                whole = {"segments": segments // 10, "rows": last, "options_hash": options_hash}
                connection.execute(ITEMS, span | whole)
        recount(connection)
        refresh(connection)  # like at the end of `ingest`


def write_lists(workspace: Workspace, folder: Path) -> None:
    """Write the URL list of each source as `folder`/<source>.parquet."""
    folder.mkdir(parents=True, exist_ok=True)
    with read_catalog(workspace) as connection:
        for number in range(10):
            path = folder / f"source-{number}.parquet"
            columns = "uri AS url, caption, category, language"
            where = f"source = 'source-{number}' ORDER BY ordinal"
            connection.execute(f"COPY (SELECT {columns} FROM items WHERE {where}) TO '{path}'")


if __name__ == "__main__":
    started = time.perf_counter()
    make(Workspace(Path(sys.argv[1])), int(sys.argv[2]))
    print(f"{int(sys.argv[2]):,} items in {time.perf_counter() - started:.1f} s")
