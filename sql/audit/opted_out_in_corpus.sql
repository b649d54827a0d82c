-- name: opted_out_in_corpus
-- severity: error
-- meaning: A corpus holds a sample whose publisher objects (meta.opt_outs of the item or of its document),
--   although the sample respects opt-outs.
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
    SELECT sample, shard, key, item_id FROM shard_samples WHERE item_id IN (SELECT item_id FROM reserved)
)
SELECT f.sample, f.shard, f.key, r.signal
FROM found AS f
INNER JOIN reserved AS r ON r.item_id = f.item_id
LEFT JOIN samples AS d ON d.sample = f.sample
WHERE coalesce(json_extract_string(d.config, '$.respect_opt_outs'), 'true') <> 'false'
ORDER BY f.sample, f.shard, f.key
