"""The only room that opens the DuckDB file: schema, vocabulary, queries by name, commits, audits."""
