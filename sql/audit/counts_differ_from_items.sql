-- name: counts_differ_from_items
-- severity: error
-- meaning: A source and status of which the catalog keeps another number of items, or of bytes of ready items,
--   than its items have (`derlem catalog rebuild` counts again).
WITH counted AS (
    SELECT source, status, 1 AS items, CASE WHEN status = 'ready' THEN coalesce(bytes, 0) ELSE 0 END AS bytes
    FROM items
    UNION ALL
    SELECT source, status, -items AS items, -bytes AS bytes FROM item_counts
)
SELECT source, status, sum(items) AS more_items, sum(bytes) AS more_bytes
FROM counted
GROUP BY source, status
HAVING sum(items) <> 0 OR sum(bytes) <> 0
ORDER BY source, status
