-- Counts of a source, and one hash over its images, independent of their order.
SELECT
    CAST(coalesce(sum(items) FILTER (WHERE status = 'ready'), 0) AS BIGINT)      AS ready,
    CAST(coalesce(sum(items) FILTER (WHERE status = 'expanded'), 0) AS BIGINT)   AS expanded,
    CAST(coalesce(sum(items) FILTER (WHERE status = 'rejected'), 0) AS BIGINT)   AS rejected,
    CAST(coalesce(sum(items) FILTER (WHERE status = 'failed'), 0) AS BIGINT)     AS failed,
    CAST(coalesce(sum(items) FILTER (WHERE status = 'withdrawn'), 0) AS BIGINT)  AS withdrawn,
    CAST(coalesce(sum(items) FILTER (WHERE status = 'discovered'), 0) AS BIGINT) AS pending,
    CAST(coalesce(sum(items), 0) AS BIGINT)                                      AS discovered,
    CAST(coalesce(sum(bytes), 0) AS BIGINT)                                      AS bytes,
    coalesce(lower(hex(bit_xor(content) FILTER (WHERE status = 'ready'))), '')   AS content_hash
FROM item_counts
WHERE source = $source;
