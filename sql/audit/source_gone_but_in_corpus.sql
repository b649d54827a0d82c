-- name: source_gone_but_in_corpus
-- severity: error
-- meaning: A corpus holds samples of a source that is not declared, or not any more.
SELECT f.sample, i.source, count(*) AS samples, min(f.shard) AS first_shard, min(f.key) AS example
FROM shard_samples AS f
INNER JOIN items AS i ON i.item_id = f.item_id
LEFT JOIN sources AS s ON s.source = i.source AND s.withdrawn_at IS NULL
WHERE s.source IS NULL
GROUP BY f.sample, i.source
ORDER BY f.sample, i.source
