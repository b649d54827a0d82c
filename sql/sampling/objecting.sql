-- Items, documents included, with an opt-out: meta.opt_outs lists the signals.
SELECT item_id
FROM items
WHERE meta LIKE '%"opt_outs"%'
  AND json_extract_string(meta, '$.opt_outs[0]') IS NOT NULL
