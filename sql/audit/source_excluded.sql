-- name: source_excluded
-- severity: warn
-- meaning: A declared source of which a corpus holds nothing, because the rules of its manifest exclude all
--   items.
SELECT e.corpus, e.source, e.reason, e.items
FROM excluded_sources AS e
INNER JOIN sources AS s ON s.source = e.source AND s.withdrawn_at IS NULL
ORDER BY e.corpus, e.source, e.reason
