-- A batch of a drawn sample, as seats.
INSERT INTO numbered_seats (number, position, item_id, stratum, repeat)
SELECT $number, position, item_id, stratum, repeat
FROM sample_batch
