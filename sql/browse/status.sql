-- Items by status, the most frequent first.
SELECT status AS value, count(*) AS items
FROM items
GROUP BY value
ORDER BY items DESC, value;
