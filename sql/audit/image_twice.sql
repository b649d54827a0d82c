-- name: image_twice
-- severity: error
-- meaning: The same images (sha256) in a corpus under two items; repeats of one item are valid, and so are all
--   such items where `sample.duplicates` is not `image`.
WITH often AS (
    SELECT s.corpus, s.sha256
    FROM shard_samples AS s
    LEFT JOIN manifests AS m ON m.corpus = s.corpus
    WHERE s.sha256 IS NOT NULL
      AND coalesce(json_extract_string(m.config, '$.duplicates'), 'image') = 'image'
    GROUP BY s.corpus, s.sha256
    HAVING count(*) > 1
)
SELECT f.corpus, f.sha256, count(*) AS samples, min(f.key) AS one, max(f.key) AS other
FROM often AS o
INNER JOIN shard_samples AS f ON f.corpus = o.corpus AND f.sha256 = o.sha256
GROUP BY f.corpus, f.sha256
HAVING coalesce(min(f.item_id), '') <> coalesce(max(f.item_id), '')
ORDER BY f.corpus, f.sha256
