-- name: allocation_not_a_sum
-- severity: error
-- meaning: A category whose allocation is not the sum of those below it, or a sample that holds another number
--   than its root was allocated.
WITH parts AS (
    SELECT
        sample,
        CASE
            WHEN source <> '' THEN node
            WHEN strpos(node, '/') = 0 THEN ''
            ELSE regexp_replace(node, '/[^/]*$', '')
        END AS parent,
        allocated
    FROM allocations
    WHERE source <> '' OR node <> ''
),
sums AS (
    SELECT sample, parent, sum(allocated) AS allocated FROM parts GROUP BY sample, parent
),
held AS (
    SELECT sample, count(*) AS samples FROM seats GROUP BY sample
)
SELECT a.sample, a.node, a.allocated, coalesce(s.allocated, 0) AS expected
FROM allocations AS a
LEFT JOIN sums AS s ON s.sample = a.sample AND s.parent = a.node
WHERE a.source = '' AND a.allocated <> coalesce(s.allocated, 0)
UNION ALL
SELECT d.sample, '(selected)', d.selected, coalesce(h.samples, 0)
FROM samples AS d
LEFT JOIN held AS h ON h.sample = d.sample
LEFT JOIN allocations AS a ON a.sample = d.sample AND a.node = '' AND a.source = ''
WHERE d.selected <> coalesce(h.samples, 0)
   OR a.allocated IS DISTINCT FROM d.selected
ORDER BY sample, node
