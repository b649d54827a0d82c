-- name: corpus_without_manifest
-- severity: error
-- meaning: Manifest rows, or a corpus on disk, without an entry in `manifests`.
WITH used AS (
    SELECT corpus, 'manifest' AS used_by FROM manifest_items
    UNION
    SELECT corpus, 'shards' FROM shards
    UNION
    SELECT corpus, 'corpora' FROM shard_files
)
SELECT u.corpus, u.used_by
FROM used AS u
LEFT JOIN manifests AS s ON s.corpus = u.corpus
WHERE s.corpus IS NULL
ORDER BY u.corpus, u.used_by
