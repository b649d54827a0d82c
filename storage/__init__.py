"""Places for bytes outside the catalog: cache, buckets, the copy of a workspace and its lease."""
