-- Items with the bytes of another one: all but the first, by earlier selection, order of the sources, item_id.
-- Only items whose hash begins like another one are compared.
WITH ranked AS (
    SELECT
        c.item_id,
        c.category,
        c.source,
        row_number() OVER (
            PARTITION BY c.sha256
            ORDER BY CASE WHEN e.item_id IS NULL THEN 1 ELSE 0 END, s.position, c.item_id
        ) AS place
    FROM sample_candidates AS c
    JOIN sample_suspects AS p ON p.prefix = substr(c.sha256, 1, 8)
    JOIN sources AS s ON s.source = c.source
    LEFT JOIN sample_earlier AS e ON e.item_id = c.item_id
)
SELECT item_id, category, source, 'duplicate' AS reason
FROM ranked
WHERE place > 1
