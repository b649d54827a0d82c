-- name: status_against_reason
-- severity: error
-- meaning: Items that failed or were rejected or withdrawn without a reason, or whose reason does not match
--   their status.
SELECT i.source, i.status, i.reason, count(*) AS items, min(i.item_id) AS example
FROM items AS i
LEFT JOIN known_reasons AS r ON r.reason = i.reason
WHERE (i.status IN ('rejected', 'failed', 'withdrawn') AND i.reason IS NULL)
   OR (i.status IN ('ready', 'expanded') AND i.reason IS NOT NULL)
   OR (i.status IN ('rejected', 'failed', 'withdrawn') AND r.status IS NOT NULL AND r.status <> i.status)
GROUP BY i.source, i.status, i.reason
ORDER BY i.source, i.status, i.reason
