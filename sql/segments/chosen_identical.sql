-- Chooses the items with the normalized or original bytes of an image of a chosen item; returns their ids.
INSERT INTO chosen_items
WITH images AS (
    SELECT item_id, sha256 FROM items
    UNION ALL
    SELECT item_id, original_sha256 FROM items
    UNION ALL
    SELECT item_id, first_sha256 FROM items WHERE first_sha256 IS NOT NULL
    UNION ALL
    SELECT item_id, unnest(list_transform(more_images, lambda m: m.sha256)) FROM items WHERE more_images IS NOT NULL
    UNION ALL
    SELECT item_id, unnest(list_transform(more_images, lambda m: m.original_sha256))
    FROM items
    WHERE more_images IS NOT NULL
)
SELECT DISTINCT images.item_id
FROM images
WHERE images.item_id NOT IN (SELECT item_id FROM chosen_items)
  AND images.sha256 IN (
    SELECT chosen.sha256
    FROM images AS chosen
    INNER JOIN chosen_items ON chosen_items.item_id = chosen.item_id
    WHERE chosen.sha256 IS NOT NULL
  )
RETURNING item_id;
