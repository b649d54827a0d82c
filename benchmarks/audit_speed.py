"""All audits together on a catalog of ten million items, with a corpus of five million samples.

    python -m benchmarks.audit_speed [--items N]

The shards themselves do not exist: the tables of a shard scan are created from the catalog, as the
benchmark measures the time of the queries. (Reading shards is as fast as hashing them.)
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow as pa

from benchmarks.synthetic_catalog import make
from derlem.catalog.audit import ShardScan, load_audits, run_audits
from derlem.catalog.connection import read_catalog, transaction, write_catalog
from derlem.core.workspace import Workspace
from derlem.corpus.shard_scan import OTHERS
from derlem.pipeline.purge import PURGE_RESIDUE
from derlem.sampling.draw import draw_sample
from derlem.sampling.sample_options import SampleOptions

ITEMS = 10_000_000
LIMIT = 60.0

BUILT = (
    """
    INSERT INTO shards
    SELECT 'bench', n, 'corpora/bench/bench-' || lpad(CAST(n AS VARCHAR), 6, '0') || '.tar',
        min(position), max(position) + 1, count(*), 1000000000, sha256('s' || n), now(),
        (SELECT fingerprint FROM manifests WHERE corpus = 'bench')
    FROM (SELECT *, position // 28000 AS n FROM manifest) AS numbered
    GROUP BY n
    """,
    """
    INSERT INTO segments
    SELECT segment, source, 1, 'ingest', 'benchmark', count(*), max("offset" + "length"), now()
    FROM items GROUP BY segment, source
    """,
)
"""Statements that add the rows of a build to the catalog, and the segments of the items."""

FOUND = """
    COPY (
        SELECT m.corpus, CAST(s.shard AS INTEGER) AS shard, m.item_id AS key, m.item_id, m.repeat,
            i."length" AS bytes, i.sha256, m.source AS record_source, m.category AS record_category,
            i.license AS record_license, i.sha256 AS record_sha256,
            '' AS record_texts, '' AS record_origin, '' AS record_uri, '' AS record_meta,
            i.width AS record_width, i.height AS record_height
        FROM manifest AS m
        INNER JOIN items AS i ON i.item_id = m.item_id
        INNER JOIN shards AS s ON s.shard = m.position // 28000
    ) TO '{path}' (FORMAT parquet, COMPRESSION zstd)
"""


def scan_shards(connection: duckdb.DuckDBPyConnection, folder: Path) -> ShardScan:
    path = folder / "samples.parquet"
    connection.execute(FOUND.format(path=path))
    files = connection.execute(
        "SELECT corpus, shard, path, samples, bytes, sha256, CAST(NULL AS VARCHAR) AS error FROM shards"
    ).to_arrow_table()
    store = connection.execute(
        """SELECT 'store/' || segment || '.tar' AS path, segment, source, number, tar_bytes AS bytes,
        CAST(NULL AS BIGINT) AS row_count FROM segments
        UNION ALL SELECT 'store/' || segment || '.parquet', segment, source, number, 1, items FROM segments"""
    ).to_arrow_table()
    return ShardScan(
        shard_samples=[path],
        shard_files=pa.table(files),
        other_files=OTHERS.empty_table(),
        store_files=pa.table(store),
        purge_residue=PURGE_RESIDUE.empty_table(),
        segments={},
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=ITEMS)
    items = parser.parse_args().items
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        workspace = Workspace(Path(folder) / "work")
        make(workspace, items)
        with write_catalog(workspace) as connection:
            draw_sample(connection, SampleOptions(name="bench", seed=1, target=items // 2), "bench")
            with transaction(connection):
                for statement in BUILT:
                    connection.execute(statement)
        with read_catalog(workspace) as connection:
            found = scan_shards(connection, Path(folder))
            started = time.perf_counter()
            results = run_audits(connection, load_audits(), found)
            seconds = time.perf_counter() - started
    for result in results:
        print(f"  {result.seconds:6.2f} s  {result.audit.name}: {result.count:,} rows")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{len(results)} audits on {items:,} items: {seconds:.1f} s (at most {LIMIT:.0f} s), "
        f"peak {peak:.1f} GB"
    )
    fired = [result.audit.name for result in results if result.count]
    if fired:
        print(f"audits with rows although this catalog is valid: {', '.join(fired)}")
    return int(seconds > LIMIT or bool(fired))


if __name__ == "__main__":
    sys.exit(main())
