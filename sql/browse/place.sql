-- The place of a stored image, by its hash: the first or another image of a record.
WITH first_images AS (
    SELECT segment, "offset", "length", media_type
    FROM items
    WHERE status = 'ready' AND "offset" IS NOT NULL AND (
        (first_sha256 IS NULL AND sha256 = $sha256) OR first_sha256 = $sha256
    )
    LIMIT 1
), others AS (
    SELECT segment, unnest(more_images) AS image
    FROM items
    WHERE status = 'ready' AND images > 1
)
SELECT segment, "offset", "length", media_type FROM first_images
UNION ALL
SELECT segment, image."offset", image."length", image.media_type FROM others WHERE image.sha256 = $sha256
LIMIT 1;
