-- How many items of each stratum are candidates (reason NULL), and how many are not, by reason.
WITH lost AS (
    SELECT category, source, reason, count(*) AS items
    FROM (
        SELECT category, source, reason FROM sample_verdicts WHERE reason IS NOT NULL
        UNION ALL
        SELECT category, source, reason FROM sample_losers
    ) AS each_one
    GROUP BY category, source, reason
)
SELECT category, source, reason, items
FROM lost
UNION ALL
SELECT category, source, NULL AS reason, CAST(sum(items) AS BIGINT) AS items
FROM (
    SELECT category, source, items FROM sample_stratum_sizes
    UNION ALL
    SELECT category, source, -items AS items FROM lost
) AS counted
GROUP BY category, source
