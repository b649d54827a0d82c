-- What a corpus holds, by category and source: samples, bytes of their images, how many have texts.
SELECT
    m.category,
    m.source,
    count(*)                                                    AS samples,
    CAST(sum(i."length") AS BIGINT)                             AS bytes,
    count(*) FILTER (WHERE coalesce(i.caption, '') <> '')       AS captions,
    count(*) FILTER (WHERE coalesce(i.conversations, '') NOT IN ('', '[]')) AS conversations
FROM manifest AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.sample = $sample AND i.status = 'ready'
GROUP BY m.category, m.source
ORDER BY m.category, m.source;
