-- The files of a corpus, shards first: path relative to the workspace, size and sha256.
SELECT path, bytes, sha256
FROM (
    SELECT path, bytes, sha256, 0 AS part FROM shards WHERE corpus = $corpus
    UNION ALL
    SELECT path, bytes, sha256, 1 AS part FROM corpus_files WHERE corpus = $corpus
)
ORDER BY part, path
