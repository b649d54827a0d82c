-- What each node of a sample's category tree asked for, may hold, was given and holds in the manifest.
CREATE OR REPLACE VIEW quota_report AS
WITH held AS (
    SELECT sample, category AS node, source, count(*) AS selected
    FROM manifest
    GROUP BY ALL
)
SELECT
    a.sample,
    a.node,
    a.source,
    a.share,
    a.available,
    a.floor,
    a.cap,
    a.allocated,
    CASE WHEN a.source <> '' THEN coalesce((
            SELECT sum(h.selected) FROM held h
            WHERE h.sample = a.sample AND h.node = a.node AND h.source = a.source), 0)
         ELSE coalesce((
            SELECT sum(h.selected) FROM held h
            WHERE h.sample = a.sample
              AND (a.node = '' OR h.node = a.node OR starts_with(h.node, a.node || '/'))), 0)
    END AS selected,
    a.why
FROM allocations a
ORDER BY a.sample, a.node, a.source;
