-- name: allocation_not_a_sum
-- severity: error
-- meaning: A category whose allocation is not the sum of its children's, or a manifest whose number of rows
--   differs from the allocation of its root.
WITH parts AS (
    SELECT
        corpus,
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
    SELECT corpus, parent, sum(allocated) AS allocated FROM parts GROUP BY corpus, parent
),
held AS (
    SELECT corpus, count(*) AS samples FROM manifest_items GROUP BY corpus
)
SELECT a.corpus, a.node, a.allocated, coalesce(s.allocated, 0) AS expected
FROM allocations AS a
LEFT JOIN sums AS s ON s.corpus = a.corpus AND s.parent = a.node
WHERE a.source = '' AND a.allocated <> coalesce(s.allocated, 0)
UNION ALL
SELECT d.corpus, '(selected)', d.selected, coalesce(h.samples, 0)
FROM manifests AS d
LEFT JOIN held AS h ON h.corpus = d.corpus
LEFT JOIN allocations AS a ON a.corpus = d.corpus AND a.node = '' AND a.source = ''
WHERE d.selected <> coalesce(h.samples, 0)
   OR a.allocated IS DISTINCT FROM d.selected
ORDER BY corpus, node
