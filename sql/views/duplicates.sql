-- Items whose image bytes equal another item's: one row per item, with the number of such items. `kept_id` is the
-- ready item that a draw with the default options keeps, and `kept` is true for that item. The deduplication index answers where it is
-- valid, otherwise all items are compared.
CREATE OR REPLACE VIEW duplicates AS
WITH state AS MATERIALIZED (
    SELECT count(*) > 0 AS valid
    FROM dedup_index
    WHERE segments = (SELECT count(*) FROM segments) AND items = (SELECT count(*) FROM items)
), alike AS (
    SELECT d.sha256, d.item_id, d.source, d.category, d.status, d.license, d.captioned
    FROM dedup_items AS d, state
    WHERE state.valid
    UNION ALL
    SELECT sha256, item_id, source, category, status, license, captioned
    FROM (
        SELECT i.sha256, i.item_id, i.source, i.category, i.status, i.license,
               i.caption IS NOT NULL OR i.conversations IS NOT NULL AS captioned,
               count(*) OVER (PARTITION BY i.sha256) AS copies
        FROM items AS i, state
        WHERE NOT state.valid AND i.sha256 IS NOT NULL
    )
    WHERE copies > 1
)
SELECT
    a.sha256,
    count(*) OVER (PARTITION BY a.sha256) AS copies,
    a.item_id,
    a.source,
    a.category,
    a.status,
    a.license,
    a.status = 'ready' AND row_number() OVER priority = 1 AS kept,
    CASE WHEN first_value(a.status) OVER priority = 'ready' THEN first_value(a.item_id) OVER priority END AS kept_id
FROM alike AS a
LEFT JOIN sources AS s ON s.source = a.source
WINDOW priority AS (
    PARTITION BY a.sha256
    ORDER BY a.status <> 'ready', NOT a.captioned, coalesce(s.position, 2147483647), a.item_id
)
ORDER BY copies DESC, a.sha256, a.item_id;
