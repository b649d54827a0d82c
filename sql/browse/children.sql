-- Items whose parent is this item (the pages of a document), by status.
SELECT status, count(*) AS items
FROM items
WHERE parent_id = $item_id
GROUP BY status
ORDER BY items DESC, status;
