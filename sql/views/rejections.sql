-- Items that are rejected, failed or withdrawn, by source, host (for URLs) and reason, with one example.
CREATE OR REPLACE VIEW rejections AS
SELECT
    source,
    CASE WHEN uri LIKE 'http%://%' THEN split_part(split_part(uri, '/', 3), ':', 1) ELSE '' END AS host,
    status,
    reason,
    count(*)                                    AS items,
    min(CASE WHEN locator = '' THEN uri ELSE uri || ' ' || locator END) AS example
FROM items
WHERE status IN ('rejected', 'failed', 'withdrawn')
GROUP BY ALL
ORDER BY items DESC, source, host, status, reason;
