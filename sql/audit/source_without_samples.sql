-- name: source_without_samples
-- severity: error
-- meaning: A declared source of which a built corpus holds nothing, although every source should land
--   (min_per_source). One whose pictures are all there, as another source's duplicates, has landed.
WITH built AS (
    SELECT sample FROM shards
    UNION
    SELECT sample FROM shard_files
),
held AS (
    SELECT DISTINCT f.sample, i.source
    FROM shard_samples AS f
    INNER JOIN items AS i ON i.item_id = f.item_id
),
lacking AS (
    SELECT b.sample, s.source
    FROM sources AS s
    CROSS JOIN built AS b
    INNER JOIN samples AS d ON d.sample = b.sample
    LEFT JOIN held AS h ON h.sample = b.sample AND h.source = s.source
    WHERE s.withdrawn_at IS NULL
      AND h.source IS NULL
      AND coalesce(json_extract_string(d.config, '$.min_per_source'), '1') <> '0'
),
pictures AS (
    SELECT DISTINCT sample, sha256 FROM shard_samples
),
duplicated AS (
    SELECT l.sample, l.source
    FROM lacking AS l
    INNER JOIN items AS i ON i.source = l.source AND i.status = 'ready'
    LEFT JOIN pictures AS p ON p.sample = l.sample AND p.sha256 = i.sha256
    GROUP BY l.sample, l.source
    HAVING count(*) = count(p.sha256)
)
SELECT l.sample, l.source
FROM lacking AS l
LEFT JOIN duplicated AS d ON d.sample = l.sample AND d.source = l.source
WHERE d.source IS NULL
ORDER BY l.sample, l.source
