"""Audits: SQL queries that return failing rows, run over the catalog and a scan of the shards.

An audit is a file in `sql/audit/` or in a folder of the user, with a header of three comments:

    -- name: items_without_license
    -- severity: error
    -- meaning: A ready item without a license.

Besides the catalog's tables, an audit can read

- `shard_samples` (corpus, shard, key, item_id, repeat, bytes, sha256, and the fields of its record:
  record_source, record_category, record_license, record_sha256, record_width, record_height, and hashes of
  the others: record_texts, record_origin, record_uri, record_meta): every sample in a shard file;
- `released_samples` (corpus, shard, key, source, category, license, sha256): every row of a released corpus's
  manifest file;
- `shard_files` (corpus, shard, path, samples, bytes, sha256, error): every shard file;
- `other_files` (corpus, path, bytes, sha256): every other file in the folder of a corpus; sha256 is NULL for
  a file that no build writes;
- `store_files` (path, segment, source, number, bytes, row_count): every file of a segment; row_count is NULL
  for a tar and for a Parquet file that cannot be read;
- `stored_items` (item_id, source): the rows of all merged segments that can be read;
- `damaged_images` (item_id, segment, found): images in the store whose bytes do not have their sha256. An
  audit that reads it has the header `deep: true`, and runs only where the images were read;
- `refused_licenses` (license): licenses of items that the configured sample does not allow;
- `purge_residue` (item_id, path, what): remaining bytes and texts of purged items in store and cache;
- `known_statuses` (status), `known_reasons` (reason, status): the vocabulary;
- `category_forms` (category, normal): every category in use, and its normal form.

Paths are relative to the workspace.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds

from ..core.errors import ConfigError, NoAudits, QueryError
from ..core.startup import probe_pandas
from .image_scan import DAMAGED_IMAGES
from .models import category_path
from .queries import names, query, quoted
from .status import Reason, Status

FIRST_ROWS = 5
"""Maximum failing rows in a result."""

Severity = Literal["error", "warn"]

_HEADER = re.compile(r"^--\s*(name|severity|deep|meaning)\s*:\s*(.*?)\s*$")
_CONTINUED = re.compile(r"^--\s+(.*?)\s*$")


@dataclass(frozen=True, slots=True)
class Audit:
    """A query that returns failing rows; `meaning` describes a row, `origin` is the query's file."""

    name: str
    severity: Severity
    meaning: str
    sql: str
    origin: str
    deep: bool = False
    """Whether the audit needs all images in the store to be read."""


@dataclass(frozen=True, slots=True)
class AuditResult:
    """The result of an audit: `count` failing rows, the first of them by column name, and the time."""

    audit: Audit
    count: int
    examples: list[dict[str, Any]]
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether the audit is an error, not a warning, and has failing rows."""
        return self.count > 0 and self.audit.severity == "error"


@dataclass(frozen=True, slots=True)
class ShardScan:
    """The files on disk, as tables of the same names; `shard_samples` are Parquet files, and
    `manifest_files` those of the corpora.

    `holder` keeps these files as long as the scan is referenced.
    """

    shard_samples: Sequence[Path]
    shard_files: pa.Table
    other_files: pa.Table
    store_files: pa.Table
    purge_residue: pa.Table
    segments: Mapping[str, Path]  # readable Parquet files by segment
    manifest_files: Sequence[Path] = ()
    damaged_images: pa.Table | None = None  # None: the images in the store were not read
    holder: object = None


def load_audits(extra_folders: Sequence[Path] = ()) -> list[Audit]:
    """Return the built-in audits and the audits in `extra_folders`, by name.

    Raises ConfigError for a missing folder, an incomplete header or a name that is already
    used, and NoAudits for a folder without audits.
    """
    found = [parse(query(name), f"{name}.sql") for name in names("audit")]
    for folder in extra_folders:
        if not folder.is_dir():
            raise ConfigError(f"there is no folder {folder}", key="audit.paths")
        files = sorted(folder.glob("*.sql"))
        if not files:
            raise NoAudits(f"there is no audit in {folder}: the folder has no .sql file")
        found += [parse(file.read_text("utf-8"), str(file)) for file in files]
    if not found:
        raise NoAudits("there is no audit to run")
    taken: dict[str, Audit] = {}
    for audit in found:
        if audit.name in taken:
            raise ConfigError(
                f"two audits are named {audit.name!r}: {taken[audit.name].origin} and {audit.origin}"
            )
        taken[audit.name] = audit
    return sorted(found, key=lambda audit: audit.name)


def parse(text: str, origin: str) -> Audit:
    """Parse the text of an audit's file; ConfigError if its header is incomplete."""
    header: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        if match := _HEADER.match(line):
            last = match[1]
            header[last] = match[2]
        elif last and (match := _CONTINUED.match(line)):
            header[last] += " " + match[1]
        else:
            break
    lacking = [key for key in ("name", "severity", "meaning") if not header.get(key)]
    if lacking:
        raise ConfigError(f"an audit starts with `-- {lacking[0]}: ...`", key=lacking[0], file=origin)
    if header["severity"] not in ("error", "warn"):
        raise ConfigError(
            f"a severity is error or warn, not {header['severity']!r}", key="severity", file=origin
        )
    deep = header.get("deep") == "true"
    return Audit(header["name"], cast(Severity, header["severity"]), header["meaning"], text, origin, deep)


def run_audits(
    connection: duckdb.DuckDBPyConnection,
    audits: Sequence[Audit],
    scan: ShardScan,
    refused_licenses: Sequence[str] = (),
) -> list[AuditResult]:
    """Run audits one after the other; return a result for each, in order.

    Deep audits run only if the scan includes damaged images.

    Raises NoAudits without audits, QueryError if a query fails.
    """
    if scan.damaged_images is None:
        audits = [audit for audit in audits if not audit.deep]
    if not audits:
        raise NoAudits("no audit ran: there was none to run")
    _register(connection, scan, refused_licenses)
    return [_run(connection, audit) for audit in audits]


def _run(connection: duckdb.DuckDBPyConnection, audit: Audit) -> AuditResult:
    begun = time.perf_counter()
    try:
        reader = connection.execute(audit.sql).to_arrow_reader(10_000)
        count, first = 0, list[dict[str, Any]]()
        for batch in reader:
            count += batch.num_rows
            if len(first) < FIRST_ROWS:
                first += batch.slice(0, FIRST_ROWS - len(first)).to_pylist()
    except duckdb.Error as error:
        raise QueryError(f"audit {audit.name} ({audit.origin}): {error}") from error
    return AuditResult(audit, count, first, time.perf_counter() - begun)


def _register(
    connection: duckdb.DuckDBPyConnection, scan: ShardScan, refused_licenses: Sequence[str]
) -> None:
    """Create temporary tables of the scan and the vocabulary. The catalog is not changed."""
    probe_pandas()
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE shard_samples AS SELECT * FROM read_parquet($files)",
        {"files": [str(path) for path in scan.shard_samples]},
    )
    _register_released(connection, scan.manifest_files)
    _register_stored_items(connection, scan.segments)
    damaged = DAMAGED_IMAGES.empty_table() if scan.damaged_images is None else scan.damaged_images
    categories = [
        category
        for (category,) in connection.execute(
            "SELECT category FROM items UNION SELECT node FROM allocations"
        ).fetchall()
    ]
    tables = {
        "shard_files": scan.shard_files,
        "other_files": scan.other_files,
        "store_files": scan.store_files,
        "purge_residue": scan.purge_residue,
        "damaged_images": damaged,
        "refused_licenses": pa.table({"license": pa.array(refused_licenses, pa.string())}),
        "known_statuses": pa.table({"status": [str(status) for status in Status]}),
        "known_reasons": pa.table(
            {
                "reason": [str(reason) for reason in Reason],
                "status": [str(reason.status) for reason in Reason],
            }
        ),
        "category_forms": pa.table(
            {
                "category": pa.array(categories, pa.string()),
                "normal": pa.array([category_path(category) for category in categories], pa.string()),
            }
        ),
    }
    for name, table in tables.items():
        connection.register("found", table)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS FROM found")
        connection.unregister("found")


def _register_released(connection: duckdb.DuckDBPyConnection, manifests: Sequence[Path]) -> None:
    """Create `released_samples` from the manifest files of released corpora."""
    columns = ("corpus", "key", "source", "category", "license", "sha256")
    kinds = ", ".join(f"{name} VARCHAR" for name in columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE released_samples (shard INTEGER, {kinds})")
    released = connection.execute("SELECT corpus FROM manifests WHERE released_at IS NOT NULL").fetchall()
    for path in manifests:
        if (path.parent.name,) in released:
            insert = (
                f"INSERT INTO released_samples SELECT shard, {', '.join(columns)} FROM read_parquet($file)"
            )
            connection.execute(insert, {"file": str(path)})


def _register_stored_items(connection: duckdb.DuckDBPyConnection, segments: Mapping[str, Path]) -> None:
    """Register the rows of merged segments as `stored_items`; they are read where an audit asks for them."""
    schema = pa.schema([("item_id", pa.string()), ("source", pa.string())])
    merged = connection.execute("SELECT segment FROM segments").fetchall()
    files = [str(segments[name]) for (name,) in merged if name in segments]
    rows = ds.dataset(files, schema=schema, format="parquet") if files else schema.empty_table()
    connection.register("stored_items", rows)
