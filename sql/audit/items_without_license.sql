-- name: items_without_license
-- severity: error
-- meaning: Ready items without a license.
SELECT source, count(*) AS items, min(item_id) AS example
FROM items
WHERE status = 'ready' AND (license IS NULL OR trim(license) = '')
GROUP BY source
ORDER BY source
