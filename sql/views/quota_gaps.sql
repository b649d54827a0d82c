-- Nodes of a manifest's category tree that differ from what was asked for: the root from the target, a node with a
-- declared share from that part of its parent's samples, and any other node from its allocation. Differences
-- below one sample are rounding. `why` gives the reason.
CREATE OR REPLACE VIEW quota_gaps AS
WITH asked AS (
    SELECT
        q.*,
        CASE
            WHEN contains(q.share, '%') THEN CAST(trim(replace(q.share, '%', '')) AS DOUBLE) / 100
            WHEN contains(q.share, '/')
                THEN CAST(split_part(q.share, '/', 1) AS DOUBLE) / CAST(split_part(q.share, '/', 2) AS DOUBLE)
            ELSE CAST(q.share AS DOUBLE)
        END AS fraction,
        CASE
            WHEN q.source <> '' THEN q.node
            WHEN contains(q.node, '/') THEN regexp_replace(q.node, '/[^/]*$', '')
            ELSE ''
        END AS parent
    FROM quota_report AS q
), wanted AS (
    SELECT
        a.*,
        CASE
            WHEN a.node = '' AND a.source = '' THEN CAST(m.target AS DOUBLE)
            WHEN a.fraction IS NOT NULL THEN a.fraction * p.allocated
            ELSE CAST(a.allocated AS DOUBLE)
        END AS wanted
    FROM asked AS a
    INNER JOIN manifests AS m ON m.corpus = a.corpus
    LEFT JOIN allocations AS p ON p.corpus = a.corpus AND p.node = a.parent AND p.source = ''
)
SELECT
    corpus,
    node,
    source,
    share,
    CAST(round(wanted) AS BIGINT)            AS wanted,
    allocated,
    selected,
    selected - CAST(round(wanted) AS BIGINT) AS gap,
    CASE
        WHEN selected < allocated THEN why || '; ' || (allocated - selected) || ' samples left the manifest'
        ELSE why
    END                                      AS why
FROM wanted
WHERE abs(selected - wanted) >= 1
ORDER BY abs(selected - wanted) DESC, corpus, node, source;
