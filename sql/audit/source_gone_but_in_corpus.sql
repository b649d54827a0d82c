-- name: source_gone_but_in_corpus
-- severity: error
-- meaning: A corpus holds samples of a source that is not declared, or not any more.
WITH gone AS (
    SELECT i.item_id, i.source
    FROM items AS i
    LEFT JOIN sources AS s ON s.source = i.source AND s.withdrawn_at IS NULL
    WHERE s.source IS NULL
),
found AS (
    SELECT sample, shard, key, item_id FROM shard_samples WHERE item_id IN (SELECT item_id FROM gone)
)
SELECT f.sample, g.source, count(*) AS samples, min(f.shard) AS first_shard, min(f.key) AS example
FROM found AS f
INNER JOIN gone AS g ON g.item_id = f.item_id
GROUP BY f.sample, g.source
ORDER BY f.sample, g.source
