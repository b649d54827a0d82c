-- name: corpus_file_differs
-- severity: error
-- meaning: A file of a corpus beside its shards (manifest, statistics, card, Croissant) that is missing, or whose
--   bytes differ from those that the build wrote. `derlem build` writes it again.
SELECT
    c.corpus, c.path, CASE WHEN f.path IS NULL THEN 'not there' ELSE 'other bytes' END AS trouble,
    c.sha256 AS catalog, f.sha256 AS found
FROM corpus_files AS c
LEFT JOIN other_files AS f ON f.path = c.path
WHERE f.path IS NULL OR f.bytes IS DISTINCT FROM c.bytes OR f.sha256 IS DISTINCT FROM c.sha256
UNION ALL
SELECT s.corpus, NULL, 'the catalog lists no such files', NULL, NULL
FROM (SELECT DISTINCT corpus FROM shards) AS s
LEFT JOIN corpus_files AS c ON c.corpus = s.corpus
WHERE c.corpus IS NULL
ORDER BY corpus, path
