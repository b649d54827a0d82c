-- Items by category.
SELECT category AS value, count(*) AS items
FROM items
GROUP BY value
ORDER BY value;
