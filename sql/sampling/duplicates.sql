-- Items with the bytes of another one: all but the first, by earlier selection, order of the sources, item_id.
-- Only suspects are compared: all candidates that share their sha256, and any others besides.
WITH ranked AS (
    SELECT
        c.item_id,
        c.category,
        c.source,
        row_number() OVER (
            PARTITION BY c.sha256
            ORDER BY CASE WHEN e.item_id IS NULL THEN 1 ELSE 0 END, s.position, c.item_id
        ) AS place
    FROM sample_suspects AS c
    JOIN sources AS s ON s.source = c.source
    LEFT JOIN sample_earlier AS e ON e.item_id = c.item_id
    WHERE c.sha256 IS NOT NULL
)
SELECT item_id, category, source, 'duplicate' AS reason
FROM ranked
WHERE place > 1
