-- name: quota_off
-- severity: error
-- meaning: A stratum (category, source) of a manifest with more or fewer rows than its allocation.
WITH held AS (
    SELECT corpus, category, source, count(*) AS samples
    FROM manifest
    GROUP BY corpus, category, source
),
given AS (
    SELECT corpus, node, source, allocated FROM allocations WHERE source <> ''
)
SELECT
    coalesce(g.corpus, h.corpus)   AS corpus,
    coalesce(g.node, h.category)   AS category,
    coalesce(g.source, h.source)   AS source,
    coalesce(g.allocated, 0)       AS allocated,
    coalesce(h.samples, 0)         AS samples
FROM given AS g
FULL OUTER JOIN held AS h ON h.corpus = g.corpus AND h.category = g.node AND h.source = g.source
WHERE coalesce(g.allocated, 0) <> coalesce(h.samples, 0)
ORDER BY corpus, category, source
