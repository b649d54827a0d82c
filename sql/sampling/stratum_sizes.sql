-- How many items each stratum has.
SELECT category, source, count(*) AS items
FROM items
GROUP BY category, source
