-- name: image_twice
-- severity: error
-- meaning: The same image (sha256) in a corpus under two items; repeats of one item are meant.
SELECT sample, sha256, count(*) AS samples, min(key) AS one, max(key) AS other
FROM shard_samples
WHERE sha256 IS NOT NULL
GROUP BY sample, sha256
HAVING count(*) > 1 AND min(item_id) <> max(item_id)
ORDER BY sample, sha256
