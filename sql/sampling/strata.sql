-- The number of items of each stratum by reason for exclusion; NULL for the candidates.
WITH lost AS (
    SELECT category, source, reason, count(*) AS items
    FROM (
        SELECT category, source, reason FROM draw_eligibility WHERE reason IS NOT NULL
        UNION ALL
        SELECT category, source, reason FROM draw_excluded
    ) AS each_one
    GROUP BY category, source, reason
)
SELECT category, source, reason, items
FROM lost
UNION ALL
SELECT category, source, NULL AS reason, CAST(sum(items) AS BIGINT) AS items
FROM (
    SELECT category, source, items FROM draw_stratum_sizes
    UNION ALL
    SELECT category, source, -items AS items FROM lost
) AS counted
GROUP BY category, source
