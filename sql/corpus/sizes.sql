-- Position and size of each sample of a manifest, in order. The size is that of its tar members. The sidecar's size
-- is computed from its texts as JSON, escapes included (540 bytes for keys, hashes and numbers): equal on any machine.
SELECT
    m.position,
    1024
    + (i."length" + 511) // 512 * 512
    + CAST(coalesce(list_sum(list_transform(i.more_images, lambda m: 512 + (m."length" + 511) // 512 * 512)), 0) AS BIGINT)
    + (
        540 + 511
        + strlen(m.source) + strlen(to_json(replace(m.category, '/', '","')))
        + strlen(to_json(i.uri)) + strlen(to_json(i.locator)) + strlen(to_json(i.meta))
        + coalesce(strlen(to_json(i.caption)), 0) + coalesce(strlen(i.conversations), 0)
        + coalesce(strlen(to_json(i.captions)), 0)
        + coalesce(strlen(i.language), 0) + coalesce(strlen(i.license), 0)
    ) // 512 * 512 AS size
FROM manifest AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.corpus = $corpus AND i.status = 'ready'
ORDER BY m.position;
