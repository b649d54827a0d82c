-- What an earlier sample holds of each stratum as it is now: items, and seats with their repeats.
SELECT c.category, c.source, count(*) AS items, CAST(sum(e.copies) AS BIGINT) AS seats
FROM sample_candidates AS c
JOIN sample_earlier AS e ON e.item_id = c.item_id
GROUP BY c.category, c.source
