-- Items with the bytes of another one: all but the first, by earlier selection, order of the sources, item_id.
-- A prefix of the hash finds the suspects: grouping by it costs a third of the memory, and only
-- suspects are compared whole.
WITH suspects AS (
    SELECT substr(sha256, 1, 12) AS prefix
    FROM sample_verdicts
    WHERE reason IS NULL AND sha256 IS NOT NULL
      AND item_id NOT IN (SELECT item_id FROM sample_losers)
    GROUP BY substr(sha256, 1, 12)
    HAVING count(*) > 1
), ranked AS (
    SELECT
        v.item_id,
        v.category,
        v.source,
        row_number() OVER (
            PARTITION BY v.sha256
            ORDER BY CASE WHEN e.item_id IS NULL THEN 1 ELSE 0 END, s.position, v.item_id
        ) AS place
    FROM sample_verdicts AS v
    JOIN suspects AS p ON p.prefix = substr(v.sha256, 1, 12)
    JOIN sources AS s ON s.source = v.source
    LEFT JOIN (SELECT DISTINCT item_id FROM sample_earlier) AS e ON e.item_id = v.item_id
    WHERE v.reason IS NULL
      AND v.item_id NOT IN (SELECT item_id FROM sample_losers)
)
SELECT item_id, category, source, 'duplicate' AS reason
FROM ranked
WHERE place > 1
