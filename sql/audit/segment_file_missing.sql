-- name: segment_file_missing
-- severity: error
-- meaning: A segment with a missing file, or whose tar does not have its recorded size. `derlem catalog repair` records the loss and re-queues its items.
WITH wanted AS (
    SELECT segment, 'store/' || segment || '.parquet' AS path, CAST(NULL AS BIGINT) AS bytes FROM segments
    UNION ALL
    SELECT segment, 'store/' || segment || '.tar', tar_bytes FROM segments WHERE tar_bytes > 0
)
SELECT w.segment, w.path, w.bytes, f.bytes AS found
FROM wanted AS w
LEFT JOIN store_files AS f ON f.path = w.path
WHERE f.path IS NULL OR (w.bytes IS NOT NULL AND f.bytes IS DISTINCT FROM w.bytes)
ORDER BY w.path
