-- The content of a corpus by category and source: samples, bytes of their images, samples with texts.
SELECT
    m.category,
    m.source,
    count(*)                                                    AS samples,
    CAST(sum(i."length" + coalesce(list_sum(list_transform(i.more_images, lambda m: m."length")), 0)) AS BIGINT) AS bytes,
    count(*) FILTER (WHERE coalesce(i.caption, '') <> '')       AS captions,
    count(*) FILTER (WHERE coalesce(i.conversations, '') NOT IN ('', '[]')) AS conversations
FROM manifest AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.corpus = $corpus AND i.status = 'ready'
GROUP BY m.category, m.source
ORDER BY m.category, m.source;
