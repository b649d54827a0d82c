-- name: corpus_file_unknown
-- severity: error
-- meaning: A tar or Parquet file in the folder of a corpus that no build wrote: a loader reads it by its name.
SELECT f.corpus, f.path, f.bytes
FROM other_files AS f
LEFT JOIN corpus_files AS c ON c.path = f.path
WHERE c.path IS NULL AND (lower(f.path) LIKE '%.tar' OR lower(f.path) LIKE '%.parquet')
ORDER BY f.corpus, f.path
