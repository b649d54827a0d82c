-- name: quota_off
-- severity: error
-- meaning: A stratum (category, source) of a sample that holds more or fewer samples than it was allocated.
WITH held AS (
    SELECT sample, category, source, count(*) AS samples
    FROM manifest
    GROUP BY sample, category, source
),
given AS (
    SELECT sample, node, source, allocated FROM allocations WHERE source <> ''
)
SELECT
    coalesce(g.sample, h.sample)   AS sample,
    coalesce(g.node, h.category)   AS category,
    coalesce(g.source, h.source)   AS source,
    coalesce(g.allocated, 0)       AS allocated,
    coalesce(h.samples, 0)         AS samples
FROM given AS g
FULL OUTER JOIN held AS h ON h.sample = g.sample AND h.category = g.node AND h.source = g.source
WHERE coalesce(g.allocated, 0) <> coalesce(h.samples, 0)
ORDER BY sample, category, source
