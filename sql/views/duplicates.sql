-- Items whose image bytes equal another item's: one row per item, with the number of such items. `kept` is true
-- for the ready item that a draw with `duplicates: image` keeps. The deduplication index answers where it is
-- valid, otherwise all items are compared.
CREATE OR REPLACE VIEW duplicates AS
WITH state AS MATERIALIZED (
    SELECT count(*) > 0 AS valid
    FROM dedup_index
    WHERE segments = (SELECT count(*) FROM segments) AND items = (SELECT count(*) FROM items)
), alike AS (
    SELECT d.sha256, d.item_id, d.source, d.category, d.status, d.license
    FROM dedup_items AS d, state
    WHERE state.valid
    UNION ALL
    SELECT sha256, item_id, source, category, status, license
    FROM (
        SELECT i.sha256, i.item_id, i.source, i.category, i.status, i.license,
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
    a.status = 'ready' AND row_number() OVER (
        PARTITION BY a.sha256 ORDER BY a.status <> 'ready', coalesce(s.position, 2147483647), a.item_id
    ) = 1 AS kept
FROM alike AS a
LEFT JOIN sources AS s ON s.source = a.source
ORDER BY copies DESC, a.sha256, a.item_id;
