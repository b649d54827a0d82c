-- name: items_of_gone_source
-- severity: warn
-- meaning: Items of a source that is no longer declared remain in the catalog; they are not sampled.
SELECT i.source, s.withdrawn_at, count(*) AS items
FROM items AS i
INNER JOIN sources AS s ON s.source = i.source
WHERE s.withdrawn_at IS NOT NULL AND i.status <> 'withdrawn'
GROUP BY i.source, s.withdrawn_at
ORDER BY i.source
