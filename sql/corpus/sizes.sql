-- Position and size of each sample of a manifest, in order. The size is that of its tar members. The
-- sidecar's size is estimated from its texts (540 bytes for keys, hashes and numbers): equal on any machine.
SELECT
    m.position,
    1024
    + (i."length" + 511) // 512 * 512
    + CAST(coalesce(list_sum(list_transform(i.more_images, lambda m: 512 + (m."length" + 511) // 512 * 512)), 0) AS BIGINT)
    + (
        540 + 511
        + strlen(m.source) + strlen(m.category) + strlen(i.uri) + strlen(i.locator) + strlen(i.meta)
        + coalesce(strlen(i.caption), 0) + coalesce(strlen(i.conversations), 0)
        + coalesce(CAST(list_sum(list_transform(i.captions, lambda c: strlen(c) + 3)) AS BIGINT), 0)
        + coalesce(strlen(i.language), 0) + coalesce(strlen(i.license), 0)
    ) // 512 * 512 AS size
FROM manifest AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.corpus = $corpus AND i.status = 'ready'
ORDER BY m.position;
