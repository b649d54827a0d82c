-- The images of ready items: their place in the store and the sha256 of their bytes, by segment and place.
SELECT segment, "offset", "length", sha256, item_id
FROM item_images
WHERE status = 'ready' AND "offset" IS NOT NULL AND "length" IS NOT NULL AND sha256 IS NOT NULL
ORDER BY segment, "offset";
