-- Counts of a source, and one hash over its images, independent of their order.
SELECT
    count(*) FILTER (WHERE status = 'ready')     AS ready,
    count(*) FILTER (WHERE status = 'expanded')  AS expanded,
    count(*) FILTER (WHERE status = 'rejected')  AS rejected,
    count(*) FILTER (WHERE status = 'failed')    AS failed,
    count(*) FILTER (WHERE status = 'withdrawn') AS withdrawn,
    count(*) FILTER (WHERE status = 'discovered') AS pending,
    count(*)                                     AS discovered,
    coalesce(sum(bytes) FILTER (WHERE status = 'ready'), 0) AS bytes,
    coalesce(lower(hex(bit_xor(md5_number(sha256)) FILTER (WHERE status = 'ready'))), '') AS content_hash
FROM items
WHERE source = $source;
