-- The way of each source's items into each corpus, one row per corpus and source; `corpus` is NULL while there is
-- no manifest. discovered = pending + expanded + rejected + failed + withdrawn + ready, and ready = selected +
-- not_selected. `reasons` counts the rejected, failed and withdrawn items by reason; `candidates` is the number
-- at the draw. `samples` counts repeats, `in_corpus` the selected items in shards.
CREATE OR REPLACE VIEW funnel AS
WITH held AS (
    SELECT manifest, stratum, repeat = 0 AS first, count(*) AS samples, min(position) AS lowest,
           max(position) AS highest
    FROM manifest_rows
    GROUP BY ALL
), built AS (
    SELECT corpus, max("last") AS positions FROM shards GROUP BY corpus
), inside AS (  -- a corpus that was drawn again and not yet built may end before its manifest does
    SELECT r.manifest, r.stratum, count(*) AS samples
    FROM manifest_rows AS r
    INNER JOIN manifests AS m ON m.number = r.manifest
    INNER JOIN built AS b ON b.corpus = m.corpus AND r.position < b.positions
    WHERE r.repeat = 0
    GROUP BY ALL
), drawn AS (
    SELECT
        m.corpus,
        a.source,
        CAST(sum(a.available) AS BIGINT) AS candidates
    FROM allocations AS a
    INNER JOIN manifests AS m ON m.corpus = a.corpus
    WHERE a.source <> ''
    GROUP BY ALL
), selection AS (
    SELECT
        m.corpus,
        a.source,
        CAST(sum(h.samples) FILTER (WHERE h.first) AS BIGINT) AS selected,
        CAST(sum(h.samples) AS BIGINT)                        AS samples
    FROM held AS h
    INNER JOIN manifests AS m ON m.number = h.manifest
    INNER JOIN allocations AS a ON a.corpus = m.corpus AND a.stratum = h.stratum
    GROUP BY ALL
), corpora AS (
    SELECT m.corpus, a.source, CAST(sum(i.samples) AS BIGINT) AS in_corpus
    FROM inside AS i
    INNER JOIN manifests AS m ON m.number = i.manifest
    INNER JOIN allocations AS a ON a.corpus = m.corpus AND a.stratum = i.stratum
    GROUP BY ALL
), lost AS (
    SELECT source, map_from_entries(list((reason, items) ORDER BY items DESC, reason)) AS reasons
    FROM (
        SELECT source, coalesce(reason, status) AS reason, count(*) AS items
        FROM items
        WHERE status IN ('rejected', 'failed', 'withdrawn')
        GROUP BY ALL
    )
    GROUP BY source
)
SELECT
    m.corpus,
    p.source,
    p.discovered,
    p.pending,
    p.expanded,
    p.rejected,
    p.failed,
    p.withdrawn,
    p.ready,
    coalesce(l.reasons, MAP {}) AS reasons,
    coalesce(d.candidates, 0)   AS candidates,
    p.ready - coalesce(s.selected, 0) AS not_selected,
    coalesce(s.selected, 0)     AS selected,
    coalesce(s.samples, 0)      AS samples,
    coalesce(c.in_corpus, 0)    AS in_corpus
FROM progress AS p
LEFT JOIN manifests AS m ON true
LEFT JOIN lost AS l ON l.source = p.source
LEFT JOIN drawn AS d ON d.corpus = m.corpus AND d.source = p.source
LEFT JOIN selection AS s ON s.corpus = m.corpus AND s.source = p.source
LEFT JOIN corpora AS c ON c.corpus = m.corpus AND c.source = p.source
LEFT JOIN sources AS o ON o.source = p.source
ORDER BY m.corpus, o.position, p.source;
