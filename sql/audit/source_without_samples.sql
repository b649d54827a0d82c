-- name: source_without_samples
-- severity: error
-- meaning: A declared source of which a built corpus holds nothing, although every source should land
--   (min_per_source).
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
)
SELECT w.sample, w.source
FROM wanted AS w
LEFT JOIN held AS h ON h.sample = w.sample AND h.source = w.source
WHERE h.source IS NULL
ORDER BY w.sample, w.source
