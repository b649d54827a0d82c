-- Manifests and their corpora. The state is `not built`, `outdated` (the manifest was drawn again after the
-- build), `built` or `released`.
CREATE OR REPLACE VIEW corpora AS
SELECT
    m.corpus,
    CASE
        WHEN m.released_at IS NOT NULL THEN 'released'
        WHEN s.corpus IS NULL THEN 'not built'
        WHEN s.manifest_fingerprint <> m.fingerprint THEN 'outdated'
        ELSE 'built'
    END AS state,
    m.selected,
    s.samples,
    s.shards,
    s.bytes,
    m.drawn_at,
    s.built_at,
    m.released_at
FROM manifests AS m
LEFT JOIN (
    SELECT
        corpus,
        count(*)                     AS shards,
        CAST(sum(samples) AS BIGINT) AS samples,
        CAST(sum(bytes) AS BIGINT)   AS bytes,
        max(built_at)                AS built_at,
        min(manifest_fingerprint)    AS manifest_fingerprint
    FROM shards
    GROUP BY corpus
) AS s ON s.corpus = m.corpus
ORDER BY m.corpus;
