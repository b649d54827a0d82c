-- What the writer of shards needs to know of the samples from position $first to before $last, in order.
-- No nulls: a text that is not there is ''.
SELECT
    m.position,
    m.item_id,
    m.repeat,
    coalesce(i.parent_id, '')       AS parent_id,
    m.source,
    m.category,
    coalesce(i.caption, '')         AS caption,
    coalesce(i.conversations, '')   AS conversations,
    coalesce(i.language, '')        AS language,
    coalesce(i.license, '')         AS license,
    i.uri,
    i.locator,
    coalesce(i.width, 0)            AS width,
    coalesce(i.height, 0)           AS height,
    i.sha256,
    coalesce(i.original_sha256, '') AS original_sha256,
    i.meta,
    i.segment,
    i."offset",
    i."length"
FROM manifest AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.sample = $sample AND m.position >= $first AND m.position < $last AND i.status = 'ready'
ORDER BY m.position;
