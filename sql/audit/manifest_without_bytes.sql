-- name: manifest_without_bytes
-- severity: error
-- meaning: A sample of a built manifest that lies in no shard of its corpus.
WITH built AS (
    SELECT sample FROM shards
    UNION
    SELECT sample FROM shard_files
)
SELECT m.sample, m.position, m.item_id, m.repeat, m.source
FROM manifest AS m
INNER JOIN built AS b ON b.sample = m.sample
LEFT JOIN shard_samples AS f ON f.sample = m.sample AND f.item_id = m.item_id AND f.repeat = m.repeat
WHERE f.item_id IS NULL OR f.sha256 IS NULL
ORDER BY m.sample, m.position
