-- name: segment_file_missing
-- severity: error
-- meaning: A segment with a missing or unreadable file, whose tar does not have its recorded size, or whose Parquet
--   file does not have its recorded rows. `derlem catalog repair` records the loss and re-queues its items.
WITH wanted AS (
    SELECT segment, 'store/' || segment || '.parquet' AS path, CAST(NULL AS BIGINT) AS bytes, items AS row_count
    FROM segments
    UNION ALL
    SELECT segment, 'store/' || segment || '.tar', tar_bytes, CAST(NULL AS BIGINT)
    FROM segments
    WHERE tar_bytes > 0
)
SELECT w.segment, w.path, w.bytes, f.bytes AS found, w.row_count, f.row_count AS found_rows
FROM wanted AS w
LEFT JOIN store_files AS f ON f.path = w.path
WHERE f.path IS NULL
   OR (w.bytes IS NOT NULL AND f.bytes IS DISTINCT FROM w.bytes)
   OR (w.row_count IS NOT NULL AND f.row_count IS DISTINCT FROM w.row_count)
ORDER BY w.path
