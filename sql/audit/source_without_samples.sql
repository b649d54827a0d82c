-- name: source_without_samples
-- severity: error
-- meaning: A source without a sample in a corpus that was drawn after its declaration, although every source
--   has a floor (min_per_source). Exempt are sources whose images are all duplicates of earlier sources or all
--   withdrawn, and sources that the rules of the manifest exclude (`source_excluded`).
WITH built AS (
    SELECT corpus FROM shards
    UNION
    SELECT corpus FROM shard_files
),
wanted AS (
    SELECT b.corpus, s.source
    FROM built AS b
    INNER JOIN manifests AS d ON d.corpus = b.corpus
    CROSS JOIN sources AS s
    LEFT JOIN corpora AS c ON c.corpus = b.corpus
    WHERE s.withdrawn_at IS NULL
      AND s.declared_at <= d.drawn_at
      AND coalesce(c.state, '') NOT IN ('outdated', 'released')
      AND coalesce(json_extract_string(d.config, '$.min_per_source'), '1') <> '0'
),
held AS (  -- record_differs_from_catalog compares records with the catalog
    SELECT corpus, record_source AS source, count(*) AS samples
    FROM shard_samples
    WHERE sha256 IS NOT NULL
    GROUP BY corpus, record_source
),
lacking AS (
    SELECT w.corpus, w.source
    FROM wanted AS w
    LEFT JOIN held AS h ON h.corpus = w.corpus AND h.source = w.source
    WHERE h.source IS NULL
),
taken_down AS (
    SELECT source
    FROM items
    WHERE source IN (SELECT source FROM lacking)
    GROUP BY source
    HAVING max(CASE WHEN status = 'ready' THEN 1 ELSE 0 END) = 0
       AND max(CASE WHEN status = 'withdrawn' THEN 1 ELSE 0 END) = 1
),
own AS (
    SELECT DISTINCT source, sha256
    FROM items
    WHERE status = 'ready' AND source IN (SELECT source FROM lacking)
),
same AS (
    SELECT source, sha256
    FROM items
    WHERE sha256 IN (SELECT sha256 FROM own) AND status = 'ready'
),
images AS (
    SELECT i.sha256, min(s.position) AS first_position
    FROM same AS i
    INNER JOIN sources AS s ON s.source = i.source
    WHERE s.withdrawn_at IS NULL
    GROUP BY i.sha256
),
duplicated AS (
    SELECT o.source
    FROM own AS o
    INNER JOIN sources AS s ON s.source = o.source
    LEFT JOIN images AS p ON p.sha256 = o.sha256 AND p.first_position < s.position
    GROUP BY o.source
    HAVING count(*) = count(p.sha256)
)
SELECT l.corpus, l.source
FROM lacking AS l
LEFT JOIN (SELECT DISTINCT corpus, source FROM excluded_sources) AS e
    ON e.corpus = l.corpus AND e.source = l.source
LEFT JOIN duplicated AS d ON d.source = l.source
LEFT JOIN taken_down AS t ON t.source = l.source
WHERE e.source IS NULL AND d.source IS NULL AND t.source IS NULL
ORDER BY l.corpus, l.source
