-- name: counts_do_not_add_up
-- severity: error
-- meaning: A source whose items by status do not add up to its discovered items, or whose segments
--   contain fewer rows than the source has items.
WITH held AS (
    SELECT
        source,
        count(*) AS discovered,
        count(CASE WHEN status = 'discovered' THEN 1 END) AS pending,
        count(CASE WHEN status = 'ready' THEN 1 END)      AS ready,
        count(CASE WHEN status = 'expanded' THEN 1 END)   AS expanded,
        count(CASE WHEN status = 'rejected' THEN 1 END)   AS rejected,
        count(CASE WHEN status = 'failed' THEN 1 END)     AS failed,
        count(CASE WHEN status = 'withdrawn' THEN 1 END)  AS withdrawn
    FROM items
    GROUP BY source
),
written AS (
    SELECT source, sum(items) AS row_count FROM segments GROUP BY source
)
SELECT h.*, coalesce(w.row_count, 0) AS rows_in_segments
FROM held AS h
LEFT JOIN written AS w ON w.source = h.source
WHERE h.discovered <> h.pending + h.ready + h.expanded + h.rejected + h.failed + h.withdrawn
   OR coalesce(w.row_count, 0) < h.discovered
ORDER BY h.source
