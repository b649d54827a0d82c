-- Shards of the corpus, their samples and bytes.
SELECT count(*) AS shards, CAST(coalesce(sum(samples), 0) AS BIGINT) AS samples,
       CAST(coalesce(sum(bytes), 0) AS BIGINT) AS bytes, max(built_at) AS built_at
FROM shards
WHERE corpus = $corpus
