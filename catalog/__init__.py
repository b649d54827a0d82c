"""The catalog, the only room that opens the DuckDB file: schema, statuses, queries, commits, audits."""
