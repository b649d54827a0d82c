-- name: ready_without_bytes
-- severity: error
-- meaning: A ready item without a hash, a size or a place in a segment, or with a place outside its segment.
SELECT i.item_id, i.source, i.segment, i."offset", i."length", g.tar_bytes
FROM items AS i
LEFT JOIN segments AS g ON g.segment = i.segment
WHERE i.status = 'ready'
  AND (
    i.sha256 IS NULL OR i.media_type IS NULL OR i.width IS NULL OR i.height IS NULL
    OR i."offset" IS NULL OR i."length" IS NULL
    OR g.segment IS NULL
    OR i."length" <= 0
    OR i."offset" + i."length" > g.tar_bytes
    OR i.images <> 1 + coalesce(len(i.more_images), 0)
    OR (i.images > 1 AND i.first_sha256 IS NULL)
    OR len(list_filter(i.more_images, lambda m: coalesce(m."offset" + m."length" > g.tar_bytes, TRUE))) > 0
  )
ORDER BY i.item_id
