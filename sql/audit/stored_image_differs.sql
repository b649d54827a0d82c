-- name: stored_image_differs
-- severity: error
-- deep: true
-- meaning: A ready item with an image in the store whose bytes are missing or do not have the sha256 of the
--   catalog. `derlem catalog repair` re-queues it.
SELECT d.item_id, i.source, i.uri, d.segment, d.found
FROM damaged_images AS d
LEFT JOIN items AS i ON i.item_id = d.item_id
ORDER BY d.segment, d.item_id
