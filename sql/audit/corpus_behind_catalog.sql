-- name: corpus_behind_catalog
-- severity: warn
-- meaning: Samples of a corpus that a new draw or build would not hold as they are, because the catalog changed
--   later: the source is gone, the license is another or no longer allowed, the image is another, the item is no
--   longer ready, or (in a released corpus) its publisher opts out.
WITH found AS (
    SELECT
        f.corpus, f.key, f.item_id, f.sha256, f.record_license, c.drawn_at, s.built_at,
        coalesce(c.state, '') = 'released' AS released
    FROM shard_samples AS f
    LEFT JOIN corpora AS c ON c.corpus = f.corpus
    LEFT JOIN shards AS s ON s.corpus = f.corpus AND s.shard = f.shard
),
held AS (
    SELECT f.*, i.source, i.status, i.license, i.sha256 AS image, i.updated_at, i.parent_id
    FROM found AS f
    INNER JOIN items AS i ON i.item_id = f.item_id
    WHERE i.status <> 'withdrawn'
),
objecting AS (
    SELECT item_id
    FROM items
    WHERE meta LIKE '%"opt_outs"%' AND json_extract_string(meta, '$.opt_outs[0]') IS NOT NULL
),
changes AS (
    SELECT h.corpus, h.key, 'source gone' AS change
    FROM held AS h
    INNER JOIN sources AS s ON s.source = h.source
    WHERE s.withdrawn_at IS NOT NULL AND (h.released OR s.withdrawn_at > h.drawn_at)
    UNION ALL
    SELECT corpus, key, 'other license'
    FROM held
    WHERE record_license IS DISTINCT FROM coalesce(license, '') AND (released OR updated_at > built_at)
    UNION ALL
    SELECT h.corpus, h.key, 'license not allowed'
    FROM held AS h
    INNER JOIN refused_licenses AS r ON r.license = coalesce(h.license, '')
    WHERE h.released
    UNION ALL
    SELECT corpus, key, 'other image'
    FROM held
    WHERE status = 'ready' AND sha256 IS DISTINCT FROM image AND (released OR updated_at > built_at)
    UNION ALL
    SELECT corpus, key, 'not ready'
    FROM held
    WHERE status <> 'ready' AND (released OR updated_at > drawn_at)
    UNION ALL
    SELECT h.corpus, h.key, 'opted out'
    FROM held AS h
    LEFT JOIN manifests AS d ON d.corpus = h.corpus
    WHERE h.released
      AND (h.item_id IN (SELECT item_id FROM objecting) OR h.parent_id IN (SELECT item_id FROM objecting))
      AND coalesce(json_extract_string(d.config, '$.respect_opt_outs'), 'true') <> 'false'
)
SELECT corpus, change, count(*) AS samples, min(key) AS example
FROM changes
GROUP BY corpus, change
ORDER BY corpus, change
