-- Items, documents among them, whose publisher reserved such use: meta.opt_outs names the signals.
SELECT item_id
FROM items
WHERE meta LIKE '%"opt_outs"%'
  AND json_extract_string(meta, '$.opt_outs[0]') IS NOT NULL
