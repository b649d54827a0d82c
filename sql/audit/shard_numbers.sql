-- name: shard_numbers
-- severity: error
-- meaning: A shard whose number is repeated, or whose number or positions do not follow the preceding shard's.
SELECT s.corpus, s.shard, s.first, s.last, before.last AS last_before
FROM shards AS s
LEFT JOIN shards AS before ON before.corpus = s.corpus AND before.shard = s.shard - 1
LEFT JOIN (SELECT corpus, shard, count(*) AS times FROM shards GROUP BY corpus, shard) AS named
    ON named.corpus = s.corpus AND named.shard = s.shard
WHERE named.times > 1
   OR s.last < s.first
   OR (s.shard = 0 AND s.first <> 0)
   OR (s.shard <> 0 AND (before.last IS NULL OR before.last <> s.first))
ORDER BY s.corpus, s.shard
