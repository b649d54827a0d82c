-- Samples, image bytes and texts by category and source.
SELECT
    category,
    source,
    count(*)                               AS samples,
    CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes,
    count(nullif(caption, ''))             AS captions,
    count(nullif(nullif(conversations, ''), '[]')) AS conversations
FROM report_samples
GROUP BY category, source
ORDER BY category, source
