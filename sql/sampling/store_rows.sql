-- A batch of a drawn sample, as seats.
INSERT INTO seats (sample, position, item_id, stratum, repeat)
SELECT $sample, position, item_id, stratum, repeat
FROM sample_batch
