-- Items of each source by status: every discovered item counts in exactly one column.
CREATE OR REPLACE VIEW progress AS
WITH counted AS (  -- counted before the join, which would otherwise compare the name of every item
    SELECT
        source,
        count(*)                                        AS discovered,
        count(*) FILTER (WHERE status = 'discovered')   AS pending,
        count(*) FILTER (WHERE status = 'ready')        AS ready,
        count(*) FILTER (WHERE status = 'expanded')     AS expanded,
        count(*) FILTER (WHERE status = 'rejected')     AS rejected,
        count(*) FILTER (WHERE status = 'failed')       AS failed,
        count(*) FILTER (WHERE status = 'withdrawn')    AS withdrawn,
        max(updated_at)                                 AS updated_at
    FROM items
    GROUP BY source
)
SELECT
    sources.source,
    coalesce(discovered, 0) AS discovered,
    coalesce(pending, 0)    AS pending,
    coalesce(ready, 0)      AS ready,
    coalesce(expanded, 0)   AS expanded,
    coalesce(rejected, 0)   AS rejected,
    coalesce(failed, 0)     AS failed,
    coalesce(withdrawn, 0)  AS withdrawn,
    updated_at
FROM sources
LEFT JOIN counted ON counted.source = sources.source
ORDER BY sources.position;
