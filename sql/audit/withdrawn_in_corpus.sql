-- name: withdrawn_in_corpus
-- severity: error
-- meaning: A corpus or a manifest still contains a withdrawn item.
SELECT f.corpus, f.shard, f.key, i.source, i.uri
FROM shard_samples AS f
INNER JOIN items AS i ON i.item_id = f.item_id
WHERE i.status = 'withdrawn'
UNION ALL
SELECT m.corpus, NULL, m.item_id, i.source, i.uri
FROM manifest_items AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE i.status = 'withdrawn'
ORDER BY corpus, key
