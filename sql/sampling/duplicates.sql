-- All candidates but one of each group with the same bytes, and with $by_text with the same texts, too. An item of
-- the extended manifest has priority, then the preferred item ($prefer: captioned, largest or first), then the item
-- of the source that is declared first, then the smallest item_id.
-- The reason `duplicate_other_text` marks items whose texts differ from those of the item that stays.
WITH ranked AS (
    SELECT
        c.item_id,
        c.category,
        c.source,
        c.texts,
        first_value(c.texts) OVER priority AS kept_texts,
        row_number() OVER priority AS place
    FROM draw_duplicate_candidates AS c
    JOIN sources AS s ON s.source = c.source
    LEFT JOIN draw_earlier AS e ON e.item_id = c.item_id
    WINDOW priority AS (
        PARTITION BY c.sha256, CASE WHEN $by_text THEN c.texts ELSE '' END
        ORDER BY
            CASE WHEN e.item_id IS NULL THEN 1 ELSE 0 END,
            CASE WHEN $prefer = 'captioned' AND c.captioned THEN 0 ELSE 1 END,
            CASE WHEN $prefer = 'largest' THEN -c.pixels ELSE 0 END,
            s.position,
            c.item_id
    )
)
SELECT
    item_id,
    category,
    source,
    CASE WHEN texts = kept_texts THEN 'duplicate' ELSE 'duplicate_other_text' END AS reason
FROM ranked
WHERE place > 1
