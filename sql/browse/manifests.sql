-- The stored manifests, the newest first, with the size of their shards.
SELECT
    m.corpus, m.seed, m.target, m.selected, m.fingerprint, m.drawn_at,
    (SELECT count(*) FROM shards AS s WHERE s.corpus = m.corpus) AS shards,
    (SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM shards AS s WHERE s.corpus = m.corpus) AS bytes
FROM manifests AS m
ORDER BY m.drawn_at DESC, m.corpus;
