-- A manifest with the extent of its corpus, and the manifests that were drawn as its extensions.
SELECT
    m.fingerprint,
    m.selected,
    coalesce(c.shards, 0)                 AS shards,
    CAST(coalesce(c.bytes, 0) AS BIGINT)  AS bytes,
    m.released_at,
    (
        SELECT coalesce(list(e.corpus ORDER BY e.corpus), [])
        FROM manifests AS e
        WHERE e.corpus <> $corpus AND json_extract_string(e.config, '$.extend') = $corpus
    ) AS extended_by
FROM manifests AS m
INNER JOIN corpora AS c ON c.corpus = m.corpus
WHERE m.corpus = $corpus
