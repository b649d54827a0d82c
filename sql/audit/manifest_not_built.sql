-- name: manifest_not_built
-- severity: warn
-- meaning: A manifest that was drawn and has no corpus.
SELECT d.corpus, d.selected, d.drawn_at
FROM manifests AS d
LEFT JOIN shards AS s ON s.corpus = d.corpus
LEFT JOIN shard_files AS f ON f.corpus = d.corpus
WHERE s.corpus IS NULL AND f.corpus IS NULL
ORDER BY d.corpus
