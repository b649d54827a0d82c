-- How many items of each stratum are candidates (reason NULL), and how many are not, by reason.
SELECT category, source, reason, CAST(sum(items) AS BIGINT) AS items
FROM (
    SELECT category, source, reason, count(*) AS items
    FROM sample_verdicts
    GROUP BY category, source, reason
    UNION ALL
    SELECT category, source, reason, count(*) AS items
    FROM sample_losers
    GROUP BY category, source, reason
    UNION ALL
    SELECT category, source, NULL AS reason, -count(*) AS items
    FROM sample_losers
    GROUP BY category, source
) AS counted
GROUP BY category, source, reason
