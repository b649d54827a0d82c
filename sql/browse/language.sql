-- Items by language, the most frequent first; items without one are left out.
SELECT language AS value, count(*) AS items
FROM items
WHERE language IS NOT NULL
GROUP BY value
ORDER BY items DESC, value
LIMIT 500;
