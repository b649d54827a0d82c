-- name: released_differs_from_manifest
-- severity: error
-- meaning: A sample of a released corpus that its manifest file lacks, that its shards lack, or whose shard or
--   record differs from the manifest file.
WITH found AS (
    SELECT f.*
    FROM shard_samples AS f
    INNER JOIN manifests AS d ON d.corpus = f.corpus
    WHERE d.released_at IS NOT NULL
)
SELECT
    coalesce(f.corpus, r.corpus) AS corpus,
    coalesce(f.key, r.key)       AS key,
    CASE
        WHEN r.key IS NULL THEN 'not in the manifest file'
        WHEN f.key IS NULL THEN 'not in the shards'
        ELSE 'another record'
    END AS trouble
FROM found AS f
FULL OUTER JOIN released_samples AS r ON r.corpus = f.corpus AND r.key = f.key
WHERE r.key IS NULL
   OR f.key IS NULL
   OR f.shard IS DISTINCT FROM r.shard
   OR f.sha256 IS DISTINCT FROM r.sha256
   OR f.record_source IS DISTINCT FROM r.source
   OR f.record_category IS DISTINCT FROM r.category
   OR f.record_license IS DISTINCT FROM r.license
ORDER BY corpus, key
