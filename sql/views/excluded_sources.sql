-- Declared sources of which a manifest can hold nothing: its rules exclude all ready items, or `max: 0`.
CREATE OR REPLACE VIEW excluded_sources AS
WITH strata AS (
    SELECT
        a.corpus,
        a.source,
        a.available,
        min(CASE WHEN above.cap = 0 THEN 0 ELSE 1 END) AS open
    FROM allocations AS a
    INNER JOIN allocations AS above
        ON above.corpus = a.corpus
        AND (
            (above.node = a.node AND above.source IN ('', a.source))
            OR (above.source = '' AND (above.node = '' OR starts_with(a.node, above.node || '/')))
        )
    WHERE a.source <> '' AND a.available > 0
    GROUP BY a.corpus, a.node, a.source, a.available
),
capped AS (
    SELECT corpus, source, max(open) AS open, CAST(sum(available) AS BIGINT) AS items
    FROM strata
    GROUP BY corpus, source
),
ruled AS (
    SELECT corpus, source, reason, CAST(sum(items) AS BIGINT) AS items
    FROM exclusions
    WHERE reason NOT IN ('discovered', 'expanded', 'rejected', 'failed', 'withdrawn', 'source_withdrawn')
    GROUP BY corpus, source, reason
)
SELECT r.corpus, r.source, r.reason, r.items
FROM ruled AS r
LEFT JOIN capped AS k ON k.corpus = r.corpus AND k.source = r.source
WHERE coalesce(k.open, 0) = 0
UNION ALL
SELECT corpus, source, 'max 0' AS reason, items
FROM capped
WHERE open = 0
ORDER BY corpus, source, reason;
