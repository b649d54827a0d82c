-- name: manifest_without_bytes
-- severity: error
-- meaning: A row of a built manifest that no shard of its corpus contains.
WITH built AS (
    SELECT corpus FROM shards
    UNION
    SELECT corpus FROM shard_files
    EXCEPT
    SELECT corpus FROM corpora WHERE state = 'outdated'
)
SELECT m.corpus, m.position, m.item_id, m.repeat, m.source
FROM manifest AS m
INNER JOIN built AS b ON b.corpus = m.corpus
LEFT JOIN shard_samples AS f ON f.corpus = m.corpus AND f.item_id = m.item_id AND f.repeat = m.repeat
WHERE f.item_id IS NULL OR f.sha256 IS NULL
ORDER BY m.corpus, m.position
