-- name: manifest_in_wrong_shard
-- severity: error
-- meaning: A sample in another shard than the one that covers its manifest position.
SELECT f.corpus, f.shard, f.key, m.position, s.first, s.last
FROM shard_samples AS f
INNER JOIN manifest_items AS m ON m.corpus = f.corpus AND m.item_id = f.item_id AND m.repeat = f.repeat
LEFT JOIN shards AS s ON s.corpus = f.corpus AND s.shard = f.shard
LEFT JOIN corpora AS c ON c.corpus = f.corpus
WHERE (s.shard IS NULL OR m.position < s.first OR m.position >= s.last)
  AND coalesce(c.state, '') <> 'outdated'
ORDER BY f.corpus, f.shard, f.key
