-- name: source_without_samples
-- severity: error
-- meaning: A declared source of which a built corpus holds nothing, although every source should land
--   (min_per_source). One whose pictures are all duplicates of sources declared before it has nothing to
--   land with.
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
held AS (
    SELECT f.sample, i.source, count(*) AS samples
    FROM shard_samples AS f
    INNER JOIN items AS i ON i.item_id = f.item_id
    GROUP BY f.sample, i.source
),
lacking AS (
    SELECT w.sample, w.source
    FROM wanted AS w
    LEFT JOIN held AS h ON h.sample = w.sample AND h.source = w.source
    WHERE h.source IS NULL
),
own AS (
    SELECT DISTINCT i.source, i.sha256
    FROM items AS i
    INNER JOIN (SELECT DISTINCT source FROM lacking) AS l ON l.source = i.source
    WHERE i.status = 'ready'
),
earlier AS (
    SELECT DISTINCT o.source, o.sha256
    FROM own AS o
    INNER JOIN sources AS s ON s.source = o.source
    INNER JOIN items AS i ON i.sha256 = o.sha256 AND i.status = 'ready'
    INNER JOIN sources AS e ON e.source = i.source AND e.position < s.position AND e.withdrawn_at IS NULL
),
duplicated AS (
    SELECT o.source
    FROM own AS o
    LEFT JOIN earlier AS e ON e.source = o.source AND e.sha256 = o.sha256
    GROUP BY o.source
    HAVING count(*) = count(e.sha256)
)
SELECT l.sample, l.source
FROM lacking AS l
LEFT JOIN duplicated AS d ON d.source = l.source
WHERE d.source IS NULL
ORDER BY l.sample, l.source
