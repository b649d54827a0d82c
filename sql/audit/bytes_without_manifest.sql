-- name: bytes_without_manifest
-- severity: error
-- meaning: A sample that lies in a shard and in no manifest of that name, or under a key that no build gives.
SELECT f.sample, f.shard, f.key
FROM shard_samples AS f
LEFT JOIN seats AS m ON m.sample = f.sample AND m.item_id = f.item_id AND m.repeat = f.repeat
WHERE m.item_id IS NULL
ORDER BY f.sample, f.shard, f.key
