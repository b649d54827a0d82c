-- The earlier selections that stay, one row per seat.
SELECT c.item_id, r.repeat, q.stratum
FROM sample_candidates AS c
JOIN sample_earlier AS e ON e.item_id = c.item_id
JOIN sample_quotas AS q ON q.category = c.category AND q.source = c.source
JOIN sample_rounds AS r ON r.repeat < e.copies
