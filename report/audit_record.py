"""Keeps the result of the last audit in `state/audit.json`, since a report must not read all shards."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from typing import Any

import duckdb

from ..catalog.audit import AuditResult
from ..catalog.models import now
from ..core.durable import replace_file
from ..core.workspace import Workspace
from .facts import Row

log = logging.getLogger("derlem.report")

_STATE = """
SELECT (SELECT count(*) FROM segments), (SELECT string_agg(fingerprint, ' ' ORDER BY corpus) FROM manifests),
       (SELECT string_agg(sha256, ' ' ORDER BY corpus, shard) FROM shards)
"""


def record_audits(
    workspace: Workspace, connection: duckdb.DuckDBPyConnection, results: Iterable[AuditResult]
) -> None:
    """Replace the record by the results of an audit of the catalog's present state."""
    audits = [
        {
            "name": result.audit.name,
            "severity": result.audit.severity,
            "meaning": result.audit.meaning,
            "count": result.count,
        }
        for result in results
    ]
    record = {"at": now().isoformat(), "state": _state(connection), "audits": audits}
    workspace.state.mkdir(parents=True, exist_ok=True)
    replace_file(workspace.state / "audit.json", json.dumps(record, indent=1) + "\n")


def last_audits(workspace: Workspace, connection: duckdb.DuckDBPyConnection) -> Row | None:
    """The record with `findings`, `failed`, and whether it is `outdated`; None without a readable one."""
    path = workspace.state / "audit.json"
    try:
        record: dict[str, Any] = json.loads(path.read_text("utf-8"))
        findings = [each for each in record["audits"] if each["count"]]
        failed = any(each["severity"] == "error" for each in findings)
        return {
            **record,
            "findings": findings,
            "failed": failed,
            "outdated": record["state"] != _state(connection),
        }
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s is damaged, and passed over: %s", path, error)
        return None


def _state(connection: duckdb.DuckDBPyConnection) -> str:
    return repr(connection.execute(_STATE).fetchall())
