"""Annotation files: records in JSON, JSONL, CSV, TSV, Parquet and Arrow whose images lie elsewhere."""
