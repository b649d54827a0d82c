-- What the rows of a sample's manifest stand for: images by media type, and rows that cannot be built.
SELECT
    CASE
        WHEN i.item_id IS NULL THEN 'not in the catalog'
        WHEN i.status <> 'ready' THEN i.status
        WHEN i.segment IS NULL OR i."offset" IS NULL OR i."length" IS NULL OR i.sha256 IS NULL
            THEN 'without a place'
    END                        AS trouble,
    coalesce(i.media_type, '') AS media_type,
    count(*)                   AS samples,
    min(m.item_id)             AS example
FROM seats AS m
LEFT JOIN items AS i ON i.item_id = m.item_id
WHERE m.sample = $sample
GROUP BY ALL
ORDER BY trouble, samples DESC, media_type;
