-- name: bytes_without_manifest
-- severity: error
-- meaning: A sample in a shard that the corpus's manifest does not list, or under a key that no build writes.
SELECT f.corpus, f.shard, f.key
FROM shard_samples AS f
LEFT JOIN manifest_items AS m ON m.corpus = f.corpus AND m.item_id = f.item_id AND m.repeat = f.repeat
LEFT JOIN corpora AS c ON c.corpus = f.corpus
WHERE m.item_id IS NULL AND (f.item_id IS NULL OR coalesce(c.state, '') <> 'outdated')
ORDER BY f.corpus, f.shard, f.key
