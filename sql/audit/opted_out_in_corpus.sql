-- name: opted_out_in_corpus
-- severity: error
-- meaning: A sample in a corpus whose publisher opts out (meta.opt_outs of the item or of its document),
--   although the corpus respects opt-outs and is not released.
WITH objecting AS (
    SELECT item_id, json_extract_string(meta, '$.opt_outs[0]') AS signal
    FROM items
    WHERE meta LIKE '%"opt_outs"%' AND json_extract_string(meta, '$.opt_outs[0]') IS NOT NULL
),
reserved AS (
    SELECT item_id, signal FROM objecting
    UNION ALL
    SELECT p.item_id, o.signal
    FROM items AS p
    INNER JOIN objecting AS o ON o.item_id = p.parent_id
    WHERE p.parent_id IN (SELECT item_id FROM objecting)
),
found AS (
    SELECT corpus, shard, key, item_id FROM shard_samples WHERE item_id IN (SELECT item_id FROM reserved)
)
SELECT f.corpus, f.shard, f.key, r.signal
FROM found AS f
INNER JOIN reserved AS r ON r.item_id = f.item_id
LEFT JOIN manifests AS d ON d.corpus = f.corpus
WHERE d.released_at IS NULL
  AND coalesce(json_extract_string(d.config, '$.respect_opt_outs'), 'true') <> 'false'
ORDER BY f.corpus, f.shard, f.key
