-- name: image_differs_from_catalog
-- severity: error
-- meaning: A sample without an image, or whose images differ from the hash in its own record, or from the hash
--   that the catalog had when the shard was built (`corpus_behind_catalog` reports later changes).
SELECT f.corpus, f.shard, f.key, f.sha256 AS found, i.sha256 AS catalog, f.record_sha256 AS record
FROM shard_samples AS f
INNER JOIN items AS i ON i.item_id = f.item_id
LEFT JOIN shards AS s ON s.corpus = f.corpus AND s.shard = f.shard
LEFT JOIN corpora AS c ON c.corpus = f.corpus
WHERE f.sha256 IS NULL
   OR f.sha256 IS DISTINCT FROM f.record_sha256
   OR (
    (
        f.sha256 IS DISTINCT FROM i.sha256
        OR f.images IS DISTINCT FROM i.images
        OR (i.images = 1 AND f.bytes IS DISTINCT FROM i."length")
    )
    AND coalesce(c.state, '') <> 'released'
    AND NOT coalesce(i.updated_at > s.built_at, FALSE)
  )
ORDER BY f.corpus, f.shard, f.key
