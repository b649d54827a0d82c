-- name: image_twice
-- severity: error
-- meaning: The same image (sha256) in a corpus under two items; repeats of one item are valid.
WITH often AS (
    SELECT corpus, sha256
    FROM shard_samples
    WHERE sha256 IS NOT NULL
    GROUP BY corpus, sha256
    HAVING count(*) > 1
)
SELECT f.corpus, f.sha256, count(*) AS samples, min(f.key) AS one, max(f.key) AS other
FROM often AS o
INNER JOIN shard_samples AS f ON f.corpus = o.corpus AND f.sha256 = o.sha256
GROUP BY f.corpus, f.sha256
HAVING coalesce(min(f.item_id), '') <> coalesce(max(f.item_id), '')
ORDER BY f.corpus, f.sha256
