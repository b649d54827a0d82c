-- Inserts the rows of a corpus's manifest file. A row whose stratum has no number violates NOT NULL.
INSERT INTO manifest_rows (manifest, position, item_id, stratum, repeat)
SELECT $number, m.position, m.item_id, a.stratum, m.repeat
FROM read_parquet($manifest) AS m
LEFT JOIN allocations AS a ON a.corpus = m.corpus AND a.node = m.category AND a.source = m.source
ORDER BY m.position
