-- Samples of a corpus with an opt-out of one source by one signal.
SELECT count(*)
FROM manifest_items AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.corpus = $corpus AND i.status = 'ready' AND i.source = $source
  AND json_extract_string(i.meta, '$.opt_outs[0]') = $signal
