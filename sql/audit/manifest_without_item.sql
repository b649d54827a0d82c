-- name: manifest_without_item
-- severity: error
-- meaning: A manifest row whose item is missing from the catalog, belongs to another source, or was not ready
--   when the manifest was drawn (`corpus_behind_catalog` reports later changes).
SELECT m.corpus, m.position, m.item_id, m.source, i.source AS catalog, coalesce(i.status, 'no item') AS status
FROM manifest AS m
LEFT JOIN items AS i ON i.item_id = m.item_id
LEFT JOIN corpora AS c ON c.corpus = m.corpus
WHERE i.item_id IS NULL
   OR i.source IS DISTINCT FROM m.source
   OR (
    i.status IS DISTINCT FROM 'ready'
    AND coalesce(c.state, '') <> 'released'
    AND NOT coalesce(i.updated_at > c.drawn_at, FALSE)
  )
ORDER BY m.corpus, m.position
