-- Each node of a manifest's category tree: its share, bounds and allocation, and its present number of rows.
CREATE OR REPLACE VIEW quota_report AS
WITH held AS (
    SELECT corpus, category, source, count(*) AS selected
    FROM manifest
    GROUP BY corpus, category, source
), above AS (  -- every stratum once for each category above it
    SELECT
        corpus,
        unnest(CASE
            WHEN category = '' THEN ['']
            ELSE [array_to_string(string_split(category, '/')[1:depth], '/')
                  FOR depth IN range(0, len(string_split(category, '/')) + 1)]
        END) AS node,
        selected
    FROM held
), held_nodes AS (
    SELECT corpus, node, '' AS source, sum(selected) AS selected
    FROM above
    GROUP BY corpus, node
    UNION ALL
    SELECT corpus, category AS node, source, selected
    FROM held
)
SELECT
    a.corpus,
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
LEFT JOIN held_nodes AS h ON h.corpus = a.corpus AND h.node = a.node AND h.source = a.source
ORDER BY a.corpus, a.node, a.source;
