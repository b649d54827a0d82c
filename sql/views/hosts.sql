-- Items with a URL, by host and source: outcomes, opt-outs and stored bytes. `opted_out` counts the items with an
-- opt-out signal, whether they were rejected or stored.
CREATE OR REPLACE VIEW hosts AS
WITH fetched AS (
    SELECT split_part(uri, '/', 3) AS authority, source, status, reason, meta, bytes, updated_at
    FROM items
    WHERE uri LIKE 'http%://%'
)
SELECT
    lower(split_part(split_part(authority, '@', -1), ':', 1)) AS host,
    source,
    count(*)                                                  AS items,
    count(*) FILTER (WHERE status = 'discovered')             AS pending,
    count(*) FILTER (WHERE status = 'ready')                  AS ready,
    count(*) FILTER (WHERE status = 'expanded')               AS expanded,
    count(*) FILTER (WHERE status = 'rejected')               AS rejected,
    count(*) FILTER (WHERE status = 'failed')                 AS failed,
    count(*) FILTER (WHERE status = 'withdrawn')              AS withdrawn,
    count(*) FILTER (
        WHERE reason IN ('robots', 'x_robots_tag', 'tdm_reserved', 'aipref') OR meta LIKE '%"opt_outs":["%'
    )                                                         AS opted_out,
    CAST(coalesce(sum(bytes) FILTER (WHERE status = 'ready'), 0) AS BIGINT) AS bytes,
    max(updated_at)                                           AS updated_at
FROM fetched
GROUP BY ALL
ORDER BY items DESC, host, source;
