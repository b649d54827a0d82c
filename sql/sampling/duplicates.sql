-- Items with the bytes of another one: all but the first, by earlier selection, order of the sources, item_id.
-- A prefix of the hash finds the suspects: grouping by it costs a third of the memory, and only
-- suspects are compared whole.
WITH suspects AS (
    SELECT substr(sha256, 1, 12) AS prefix
    FROM sample_candidates
    WHERE sha256 IS NOT NULL
    GROUP BY substr(sha256, 1, 12)
    HAVING count(*) > 1
), ranked AS (
    SELECT
        c.item_id,
        c.category,
        c.source,
        row_number() OVER (
            PARTITION BY c.sha256
            ORDER BY CASE WHEN e.item_id IS NULL THEN 1 ELSE 0 END, s.position, c.item_id
        ) AS place
    FROM sample_candidates AS c
    JOIN suspects AS p ON p.prefix = substr(c.sha256, 1, 12)
    JOIN sources AS s ON s.source = c.source
    LEFT JOIN sample_earlier AS e ON e.item_id = c.item_id
)
SELECT item_id, category, source, 'duplicate' AS reason
FROM ranked
WHERE place > 1
