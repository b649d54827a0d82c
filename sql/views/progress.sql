-- Items of each source by status: every discovered item counts in exactly one column.
CREATE OR REPLACE VIEW progress AS
SELECT
    sources.source,
    count(items.item_id)                                        AS discovered,
    count(items.item_id) FILTER (WHERE status = 'discovered')   AS pending,
    count(items.item_id) FILTER (WHERE status = 'ready')        AS ready,
    count(items.item_id) FILTER (WHERE status = 'expanded')     AS expanded,
    count(items.item_id) FILTER (WHERE status = 'rejected')     AS rejected,
    count(items.item_id) FILTER (WHERE status = 'failed')       AS failed,
    count(items.item_id) FILTER (WHERE status = 'withdrawn')    AS withdrawn,
    max(items.updated_at)                                       AS updated_at
FROM sources
LEFT JOIN items ON items.source = sources.source
GROUP BY sources.source, sources.position
ORDER BY sources.position;
