-- name: manifest_without_item
-- severity: error
-- meaning: A manifest row whose item is missing from the catalog, is not ready, or belongs to another source.
SELECT m.corpus, m.position, m.item_id, m.source, i.source AS catalog, coalesce(i.status, 'no item') AS status
FROM manifest AS m
LEFT JOIN items AS i ON i.item_id = m.item_id
WHERE i.item_id IS NULL OR i.status IS DISTINCT FROM 'ready' OR i.source IS DISTINCT FROM m.source
ORDER BY m.corpus, m.position
