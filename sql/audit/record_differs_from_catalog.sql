-- name: record_differs_from_catalog
-- severity: error
-- meaning: A sample whose record names another source or category than its manifest, or another license than
--   the catalog had when the shard was built (`corpus_behind_catalog` reports later changes).
SELECT
    f.corpus, f.shard, f.key, 'source, category' AS fields,
    f.record_source || ', ' || f.record_category AS record, m.source || ', ' || m.category AS catalog
FROM shard_samples AS f
INNER JOIN manifest AS m ON m.corpus = f.corpus AND m.item_id = f.item_id AND m.repeat = f.repeat
LEFT JOIN corpora AS c ON c.corpus = f.corpus
WHERE (f.record_source IS DISTINCT FROM m.source OR f.record_category IS DISTINCT FROM m.category)
  AND coalesce(c.state, '') <> 'outdated'
UNION ALL
SELECT f.corpus, f.shard, f.key, 'license', f.record_license, i.license
FROM shard_samples AS f
INNER JOIN items AS i ON i.item_id = f.item_id
LEFT JOIN shards AS s ON s.corpus = f.corpus AND s.shard = f.shard
LEFT JOIN corpora AS c ON c.corpus = f.corpus
WHERE f.record_license IS DISTINCT FROM coalesce(i.license, '')
  AND coalesce(c.state, '') <> 'released'
  AND NOT coalesce(i.updated_at > s.built_at, FALSE)
ORDER BY corpus, shard, key, fields
