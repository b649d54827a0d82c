-- name: source_without_samples
-- severity: error
-- meaning: A declared source of which a built corpus holds nothing, although every source should land
--   (min_per_source).
WITH built AS (
    SELECT sample FROM shards
    UNION
    SELECT sample FROM shard_files
),
held AS (
    SELECT DISTINCT f.sample, i.source
    FROM shard_samples AS f
    INNER JOIN items AS i ON i.item_id = f.item_id
)
SELECT b.sample, s.source
FROM sources AS s
CROSS JOIN built AS b
INNER JOIN samples AS d ON d.sample = b.sample
LEFT JOIN held AS h ON h.sample = b.sample AND h.source = s.source
WHERE s.withdrawn_at IS NULL
  AND h.source IS NULL
  AND coalesce(json_extract_string(d.config, '$.min_per_source'), '1') <> '0'
ORDER BY b.sample, s.source
