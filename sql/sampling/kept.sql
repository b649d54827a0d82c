-- The kept rows of the extended manifest.
SELECT c.item_id, r.repeat, s.stratum
FROM draw_candidates AS c
JOIN draw_earlier AS e ON e.item_id = c.item_id
JOIN draw_strata AS s ON s.category = c.category AND s.source = c.source
JOIN draw_rounds AS r ON r.repeat < e.copies
