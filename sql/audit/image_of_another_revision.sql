-- name: image_of_another_revision
-- severity: error
-- meaning: A ready item whose stored image was read from another revision of its record than its texts.
SELECT item_id, source, uri, locator, revision, image_revision
FROM items
WHERE status = 'ready' AND image_revision IS DISTINCT FROM revision
ORDER BY source, uri, locator, item_id
