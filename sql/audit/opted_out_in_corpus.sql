-- name: opted_out_in_corpus
-- severity: error
-- meaning: A corpus holds a sample whose publisher objects (meta.opt_outs of the item or of its document),
--   although the sample respects opt-outs.
WITH objecting AS (
    SELECT item_id, json_extract_string(meta, '$.opt_outs[0]') AS signal
    FROM items
    WHERE meta LIKE '%"opt_outs"%' AND json_extract_string(meta, '$.opt_outs[0]') IS NOT NULL
)
SELECT f.sample, f.shard, f.key, i.source, coalesce(own.signal, document.signal) AS signal
FROM shard_samples AS f
INNER JOIN items AS i ON i.item_id = f.item_id
LEFT JOIN samples AS d ON d.sample = f.sample
LEFT JOIN objecting AS own ON own.item_id = i.item_id
LEFT JOIN objecting AS document ON document.item_id = i.parent_id
WHERE (own.signal IS NOT NULL OR document.signal IS NOT NULL)
  AND coalesce(json_extract_string(d.config, '$.respect_opt_outs'), 'true') <> 'false'
ORDER BY f.sample, f.shard, f.key
