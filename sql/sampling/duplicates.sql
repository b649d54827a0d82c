-- All candidates but one of each group with the same bytes. An item of the extended manifest has priority, then
-- the item of the source that is declared first, then the smallest item_id.
WITH ranked AS (
    SELECT
        c.item_id,
        c.category,
        c.source,
        row_number() OVER (
            PARTITION BY c.sha256
            ORDER BY CASE WHEN e.item_id IS NULL THEN 1 ELSE 0 END, s.position, c.item_id
        ) AS place
    FROM draw_duplicate_candidates AS c
    JOIN sources AS s ON s.source = c.source
    LEFT JOIN draw_earlier AS e ON e.item_id = c.item_id
)
SELECT item_id, category, source, 'duplicate' AS reason
FROM ranked
WHERE place > 1
