-- name: manifest_of_unknown_sample
-- severity: error
-- meaning: Rows of a manifest, or a corpus, whose sample is not in the catalog.
WITH used AS (
    SELECT sample, 'manifest' AS used_by FROM seats
    UNION
    SELECT sample, 'shards' FROM shards
    UNION
    SELECT sample, 'corpora' FROM shard_files
)
SELECT u.sample, u.used_by
FROM used AS u
LEFT JOIN samples AS s ON s.sample = u.sample
WHERE s.sample IS NULL
ORDER BY u.sample, u.used_by
