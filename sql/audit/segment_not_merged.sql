-- name: segment_not_merged
-- severity: warn
-- meaning: A segment in the store that follows all segments that the catalog lists for its source: a run ended
--   before the commit, and the next run merges it.
SELECT f.segment, f.row_count
FROM store_files AS f
LEFT JOIN segments AS s ON s.segment = f.segment
LEFT JOIN (SELECT DISTINCT segment FROM items) AS i ON i.segment = f.segment
LEFT JOIN (SELECT source, max(number) AS last_number FROM segments GROUP BY source) AS l ON l.source = f.source
WHERE f.path LIKE '%.parquet'
  AND s.segment IS NULL
  AND i.segment IS NULL
  AND (l.source IS NULL OR f.number > l.last_number)
ORDER BY f.segment
