-- name: sample_twice
-- severity: error
-- meaning: A sample that occurs more than once in the shards of its corpus.
SELECT corpus, key, count(*) AS times, min(shard) AS first_shard, max(shard) AS last_shard
FROM shard_samples
GROUP BY corpus, key
HAVING count(*) > 1
ORDER BY corpus, key
