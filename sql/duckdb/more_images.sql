-- The images of ready records of several images: the first image's own hash, and all columns of the others.
SELECT item_id, first_sha256 AS sha256, NULL AS original_sha256, NULL AS dhash
FROM items
WHERE first_sha256 IS NOT NULL AND status = 'ready'
UNION ALL
SELECT item_id, image.sha256, image.original_sha256, image.dhash
FROM (
    SELECT item_id, unnest(more_images) AS image FROM items WHERE more_images IS NOT NULL AND status = 'ready'
) AS more
