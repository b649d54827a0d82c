-- The stored images of every item, a row for each: `number` counts from 0 within the item.
CREATE OR REPLACE VIEW item_images AS
SELECT
    item_id, source, category, status, 0 AS number, media_type, coalesce(first_sha256, sha256) AS sha256,
    original_sha256, dhash, width, height, bytes, segment, "offset", "length"
FROM items
WHERE sha256 IS NOT NULL
UNION ALL
SELECT
    item_id, source, category, status, number, image.media_type, image.sha256,
    image.original_sha256, image.dhash, image.width, image.height, image.bytes, segment, image."offset", image."length"
FROM (
    SELECT item_id, source, category, status, segment, generate_subscripts(more_images, 1) AS number, unnest(more_images) AS image
    FROM items
    WHERE more_images IS NOT NULL
) AS more;
