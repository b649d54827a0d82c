-- Items by source, the most frequent first.
SELECT source AS value, count(*) AS items
FROM items
GROUP BY value
ORDER BY items DESC, value;
