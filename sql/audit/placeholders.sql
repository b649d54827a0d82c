-- name: placeholders
-- severity: warn
-- meaning: A sample whose conversation has another number of `<image>` marks than the record has images.
SELECT m.corpus, m.item_id, i.source, i.images, i.placeholders
FROM manifest_items AS m
INNER JOIN (
    SELECT
        item_id,
        source,
        images,
        (length(conversations) - length(replace(conversations, '<image>', ''))) // length('<image>') AS placeholders
    FROM items
    WHERE conversations IS NOT NULL
) AS i ON i.item_id = m.item_id
WHERE i.placeholders <> i.images AND m.repeat = 0
ORDER BY m.corpus, m.item_id
