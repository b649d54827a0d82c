-- name: category_not_normal
-- severity: error
-- meaning: A category that is not in normal form (NFC, no empty parts, no blanks at the edges of parts), or
--   items without a category.
SELECT i.source, i.category, c.normal, count(*) AS items, min(i.item_id) AS example
FROM items AS i
LEFT JOIN category_forms AS c ON c.category = i.category
WHERE i.category IS NULL OR c.normal IS DISTINCT FROM i.category
GROUP BY i.source, i.category, c.normal
ORDER BY i.source, i.category
