-- The contenders that have to be ranked, where that is done inside the database: a row goes by its item and
-- repeat.
SELECT item_id AS row, repeat, stratum, key AS high, '' AS low
FROM sample_contenders
WHERE key IS NOT NULL
