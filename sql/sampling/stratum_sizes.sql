-- The number of items in each stratum, whatever their status.
SELECT category, source, count(*) AS items
FROM items
GROUP BY category, source
