-- Licenses of ready items, by source.
CREATE OR REPLACE VIEW licenses AS
SELECT
    coalesce(license, '(none)') AS license,
    source,
    count(*)                    AS ready,
    CAST(sum(bytes) AS BIGINT)  AS bytes
FROM items
WHERE status = 'ready'
GROUP BY ALL
ORDER BY license, source;
