-- Inserts a batch of rows of the manifest with this number.
INSERT INTO manifest_rows (manifest, position, item_id, stratum, repeat)
SELECT $number, position, item_id, stratum, repeat
FROM sample_batch
