-- name: sample_twice
-- severity: error
-- meaning: A sample that lies in the shards of its corpus more than once.
SELECT sample, key, count(*) AS times, min(shard) AS first_shard, max(shard) AS last_shard
FROM shard_samples
GROUP BY sample, key
HAVING count(*) > 1
ORDER BY sample, key
