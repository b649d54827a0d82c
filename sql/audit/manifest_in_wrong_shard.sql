-- name: manifest_in_wrong_shard
-- severity: error
-- meaning: A sample that lies in another shard than the one that should hold its position.
SELECT f.sample, f.shard, f.key, m.position, s.first, s.last
FROM shard_samples AS f
INNER JOIN seats AS m ON m.sample = f.sample AND m.item_id = f.item_id AND m.repeat = f.repeat
LEFT JOIN shards AS s ON s.sample = f.sample AND s.shard = f.shard
WHERE s.shard IS NULL OR m.position < s.first OR m.position >= s.last
ORDER BY f.sample, f.shard, f.key
