-- The rows of a corpus's manifest file, as rows of the catalog's.
INSERT INTO manifest (sample, position, item_id, category, source, repeat)
SELECT sample, position, item_id, category, source, repeat
FROM read_parquet($manifest)
