-- The content of a released corpus by category and source, from its manifest file.
SELECT
    category,
    source,
    count(*)                                     AS samples,
    CAST(sum(bytes) AS BIGINT)                   AS bytes,
    count(*) FILTER (WHERE caption <> '')        AS captions,
    count(*) FILTER (WHERE len(conversations) > 0) AS conversations
FROM read_parquet($manifest)
GROUP BY category, source
ORDER BY category, source
