-- The candidates whose integer (buckets.sql) occurs twice: all that share a sha256, and some that do not.
SELECT c.item_id, c.category, c.source, c.sha256
FROM sample_candidates AS c
JOIN sample_buckets AS b ON b.bucket = CAST(hash(c.sha256) >> 32 AS UINTEGER)
