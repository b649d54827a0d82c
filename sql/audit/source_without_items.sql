-- name: source_without_items
-- severity: error
-- meaning: A declared source without discovered items.
SELECT s.source, s.adapter, s.declared_at
FROM sources AS s
LEFT JOIN (SELECT source, count(*) AS items FROM items GROUP BY source) AS held ON held.source = s.source
WHERE s.withdrawn_at IS NULL AND held.source IS NULL
ORDER BY s.source
