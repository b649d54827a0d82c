-- name: source_without_samples
-- severity: error
-- meaning: A declared source of which a built corpus holds nothing, although every source should land
--   (min_per_source). One whose pictures are all duplicates of sources declared before it, or were all
--   withdrawn, has nothing to land with.
WITH built AS (
    SELECT sample FROM shards
    UNION
    SELECT sample FROM shard_files
),
wanted AS (
    SELECT b.sample, s.source
    FROM built AS b
    INNER JOIN samples AS d ON d.sample = b.sample
    CROSS JOIN sources AS s
    WHERE s.withdrawn_at IS NULL
      AND coalesce(json_extract_string(d.config, '$.min_per_source'), '1') <> '0'
),
held AS (  -- what records say of their source is held against the catalog by record_differs_from_catalog
    SELECT sample, record_source AS source, count(*) AS samples
    FROM shard_samples
    WHERE sha256 IS NOT NULL
    GROUP BY sample, record_source
),
lacking AS (
    SELECT w.sample, w.source
    FROM wanted AS w
    LEFT JOIN held AS h ON h.sample = w.sample AND h.source = w.source
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
pictures AS (
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
    LEFT JOIN pictures AS p ON p.sha256 = o.sha256 AND p.first_position < s.position
    GROUP BY o.source
    HAVING count(*) = count(p.sha256)
)
SELECT l.sample, l.source
FROM lacking AS l
LEFT JOIN duplicated AS d ON d.source = l.source
LEFT JOIN taken_down AS t ON t.source = l.source
WHERE d.source IS NULL AND t.source IS NULL
ORDER BY l.sample, l.source
