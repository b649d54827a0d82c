-- The sources of a corpus with their samples, image bytes, characters of text, and when they were collected: the
-- time of fetching, or of discovery for what was not fetched. Withdrawn items are excluded.
WITH held AS (
    SELECT
        i.source, i.item_id, i."length" AS bytes,
        coalesce(length(i.caption), 0) + coalesce(length(i.conversations), 0) AS characters,
        coalesce(TRY_CAST(json_extract_string(i.meta, '$.fetch.at') AS TIMESTAMP), i.discovered_at) AS collected_at
    FROM manifest_items AS m
    INNER JOIN items AS i ON i.item_id = m.item_id
    WHERE m.corpus = $corpus AND i.status = 'ready'
)
SELECT
    h.source, s.adapter, s.config, s.license, s.homepage,
    count(*)                            AS samples,
    count(DISTINCT h.item_id)           AS items,
    CAST(sum(h.bytes) AS BIGINT)        AS bytes,
    CAST(sum(h.characters) AS BIGINT)   AS characters,
    min(h.collected_at)                 AS collected_from,
    max(h.collected_at)                 AS collected_to
FROM held AS h
LEFT JOIN sources AS s ON s.source = h.source
GROUP BY h.source, s.adapter, s.config, s.license, s.homepage, s.position
ORDER BY s.position, h.source
