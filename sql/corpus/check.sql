-- The rows of a manifest by media type, and by the reason why they cannot be built; for each, the highest number
-- of images of a sample, and whether one has several captions.
SELECT
    CASE
        WHEN i.item_id IS NULL THEN 'not in the catalog'
        WHEN i.status <> 'ready' THEN i.status
        WHEN i.segment IS NULL OR i."offset" IS NULL OR i."length" IS NULL OR i.sha256 IS NULL
            THEN 'without a place'
    END                                       AS trouble,
    CASE
        WHEN len(list_filter(i.more_images, lambda m: m.media_type <> i.media_type)) > 0 THEN 'several'
        ELSE coalesce(i.media_type, '')
    END                                       AS media_type,
    count(*)                                  AS samples,
    min(m.item_id)                            AS example,
    max(i.images)                             AS images,
    coalesce(bool_or(i.captions IS NOT NULL), FALSE) AS captions
FROM manifest_items AS m
LEFT JOIN items AS i ON i.item_id = m.item_id
WHERE m.corpus = $corpus
GROUP BY ALL
ORDER BY trouble, samples DESC, media_type;
