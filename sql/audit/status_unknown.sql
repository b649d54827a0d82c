-- name: status_unknown
-- severity: error
-- meaning: Items whose status, or whose reason, is not in the vocabulary.
SELECT i.source, i.status, i.reason, count(*) AS items, min(i.item_id) AS example
FROM items AS i
LEFT JOIN known_statuses AS s ON s.status = i.status
LEFT JOIN known_reasons AS r ON r.reason = i.reason
WHERE s.status IS NULL OR (i.reason IS NOT NULL AND r.reason IS NULL)
GROUP BY i.source, i.status, i.reason
ORDER BY i.source, i.status, i.reason
