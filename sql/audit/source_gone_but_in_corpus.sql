-- name: source_gone_but_in_corpus
-- severity: error
-- meaning: Samples in a corpus whose source was not declared when the manifest was drawn
--   (`corpus_behind_catalog` reports sources that are gone since).
WITH gone AS (
    SELECT i.item_id, i.source, w.withdrawn_at
    FROM items AS i
    LEFT JOIN sources AS s ON s.source = i.source AND s.withdrawn_at IS NULL
    LEFT JOIN sources AS w ON w.source = i.source
    WHERE s.source IS NULL
),
found AS (
    SELECT corpus, shard, key, item_id FROM shard_samples WHERE item_id IN (SELECT item_id FROM gone)
)
SELECT f.corpus, g.source, count(*) AS samples, min(f.shard) AS first_shard, min(f.key) AS example
FROM found AS f
INNER JOIN gone AS g ON g.item_id = f.item_id
LEFT JOIN corpora AS c ON c.corpus = f.corpus
WHERE coalesce(c.state, '') NOT IN ('released', 'outdated')
  AND NOT coalesce(g.withdrawn_at > c.drawn_at, FALSE)
GROUP BY f.corpus, g.source
ORDER BY f.corpus, g.source
