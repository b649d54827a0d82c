-- name: image_differs_from_catalog
-- severity: error
-- meaning: A sample without an image, or whose image differs from the hash in the catalog or in its own record.
SELECT f.corpus, f.shard, f.key, f.sha256 AS found, i.sha256 AS catalog, f.record_sha256 AS record
FROM shard_samples AS f
INNER JOIN items AS i ON i.item_id = f.item_id
WHERE f.sha256 IS DISTINCT FROM i.sha256
   OR f.sha256 IS DISTINCT FROM f.record_sha256
   OR f.bytes IS DISTINCT FROM i."length"
ORDER BY f.corpus, f.shard, f.key
