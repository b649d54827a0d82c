-- Items, ready items and their bytes, by category and source.
CREATE OR REPLACE VIEW composition AS
SELECT
    category,
    source,
    count(*)                                   AS items,
    count(*) FILTER (WHERE status = 'ready')   AS ready,
    CAST(sum(bytes) FILTER (WHERE status = 'ready') AS BIGINT) AS bytes,
    count(caption) FILTER (WHERE status = 'ready') AS captioned
FROM items
WHERE status <> 'expanded'
GROUP BY category, source
ORDER BY category, source;
