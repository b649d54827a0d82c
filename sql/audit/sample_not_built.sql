-- name: sample_not_built
-- severity: warn
-- meaning: A sample that was drawn and of which there is no corpus.
SELECT d.sample, d.selected, d.drawn_at
FROM samples AS d
LEFT JOIN shards AS s ON s.sample = d.sample
LEFT JOIN shard_files AS f ON f.sample = d.sample
WHERE s.sample IS NULL AND f.sample IS NULL
ORDER BY d.sample
