-- name: shard_unreadable
-- severity: error
-- meaning: A shard that cannot be read to its end.
SELECT path, samples AS readable_samples, bytes, error
FROM shard_files
WHERE error IS NOT NULL
ORDER BY path
