-- name: segment_unknown
-- severity: error
-- meaning: A segment in the store that the catalog does not list, although items refer to it or later segments of
--   its source are listed.
SELECT f.segment, f.row_count
FROM store_files AS f
LEFT JOIN segments AS s ON s.segment = f.segment
LEFT JOIN (SELECT DISTINCT segment FROM items) AS i ON i.segment = f.segment
LEFT JOIN (SELECT source, max(number) AS last_number FROM segments GROUP BY source) AS l ON l.source = f.source
WHERE f.path LIKE '%.parquet'
  AND s.segment IS NULL
  AND (i.segment IS NOT NULL OR f.number <= l.last_number)
ORDER BY f.segment
