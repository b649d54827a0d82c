-- Shard and key of the samples in the manifest file of a released corpus that its manifest no longer lists.
SELECT f.shard, f.key
FROM read_parquet($manifest) AS f
LEFT JOIN manifest_items AS m
    ON m.corpus = $corpus AND m.item_id = f.item_id AND m.repeat = f.repeat
WHERE m.item_id IS NULL
ORDER BY f.shard, f.key
