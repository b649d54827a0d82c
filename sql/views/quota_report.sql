-- What each node of a sample's category tree asked for, may hold, was given and holds in the manifest.
CREATE OR REPLACE VIEW quota_report AS
WITH held AS (
    SELECT sample, category, source, count(*) AS selected
    FROM manifest
    GROUP BY sample, category, source
), above AS (  -- every stratum once for each category that it lies in
    SELECT
        sample,
        unnest(CASE
            WHEN category = '' THEN ['']
            ELSE [array_to_string(string_split(category, '/')[1:depth], '/')
                  FOR depth IN range(0, len(string_split(category, '/')) + 1)]
        END) AS node,
        selected
    FROM held
), held_nodes AS (
    SELECT sample, node, '' AS source, sum(selected) AS selected
    FROM above
    GROUP BY sample, node
    UNION ALL
    SELECT sample, category AS node, source, selected
    FROM held
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
    CAST(coalesce(h.selected, 0) AS BIGINT) AS selected,
    a.why
FROM allocations AS a
LEFT JOIN held_nodes AS h ON h.sample = a.sample AND h.node = a.node AND h.source = a.source
ORDER BY a.sample, a.node, a.source;
