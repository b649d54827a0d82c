-- Candidates of the extended manifest by their present stratum: items, and rows with repeats.
SELECT c.category, c.source, count(*) AS items, CAST(sum(e.copies) AS BIGINT) AS copies
FROM draw_candidates AS c
JOIN draw_earlier AS e ON e.item_id = c.item_id
GROUP BY c.category, c.source
