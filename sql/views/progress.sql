-- Items of each source by status: every discovered item counts in exactly one column. `updated_at` is the time of
-- the source's last segment. The counts come from `item_counts`, so that the view reads no items.
CREATE OR REPLACE VIEW progress AS
WITH totals AS (
    SELECT
        source,
        CAST(sum(items) AS BIGINT) AS discovered,
        CAST(sum(items) FILTER (WHERE status = 'discovered') AS BIGINT) AS pending,
        CAST(sum(items) FILTER (WHERE status = 'ready') AS BIGINT)      AS ready,
        CAST(sum(items) FILTER (WHERE status = 'expanded') AS BIGINT)   AS expanded,
        CAST(sum(items) FILTER (WHERE status = 'rejected') AS BIGINT)   AS rejected,
        CAST(sum(items) FILTER (WHERE status = 'failed') AS BIGINT)     AS failed,
        CAST(sum(items) FILTER (WHERE status = 'withdrawn') AS BIGINT)  AS withdrawn
    FROM item_counts
    GROUP BY source
), written AS (
    SELECT source, max(written_at) AS updated_at FROM segments GROUP BY source
)
SELECT
    sources.source,
    coalesce(totals.discovered, 0) AS discovered,
    coalesce(totals.pending, 0)    AS pending,
    coalesce(totals.ready, 0)      AS ready,
    coalesce(totals.expanded, 0)   AS expanded,
    coalesce(totals.rejected, 0)   AS rejected,
    coalesce(totals.failed, 0)     AS failed,
    coalesce(totals.withdrawn, 0)  AS withdrawn,
    written.updated_at
FROM sources
LEFT JOIN totals ON totals.source = sources.source
LEFT JOIN written ON written.source = sources.source
ORDER BY sources.position;
