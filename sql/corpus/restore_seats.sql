-- The rows of a corpus's manifest file, as seats of its sample. A row of no stratum of the sample is an error.
INSERT INTO numbered_seats (number, position, item_id, stratum, repeat)
SELECT $number, m.position, m.item_id, a.stratum, m.repeat
FROM read_parquet($manifest) AS m
LEFT JOIN allocations AS a ON a.sample = m.sample AND a.node = m.category AND a.source = m.source
ORDER BY m.position
