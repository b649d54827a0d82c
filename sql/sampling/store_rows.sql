-- A batch of a drawn sample, as rows of the manifest.
INSERT INTO manifest (sample, position, item_id, category, source, repeat)
SELECT $sample, position, item_id, category, source, repeat
FROM sample_batch
