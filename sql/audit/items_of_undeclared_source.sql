-- name: items_of_undeclared_source
-- severity: error
-- meaning: Items of a source that was never declared.
SELECT i.source, count(*) AS items, min(i.item_id) AS example
FROM items AS i
LEFT JOIN sources AS s ON s.source = i.source
WHERE s.source IS NULL
GROUP BY i.source
ORDER BY i.source
