-- name: document_without_pages
-- severity: warn
-- meaning: A document that was expanded and has no page.
SELECT d.item_id, d.source, d.uri
FROM items AS d
LEFT JOIN items AS p ON p.parent_id = d.item_id
WHERE d.status = 'expanded' AND p.item_id IS NULL
ORDER BY d.item_id
