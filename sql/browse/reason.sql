-- Items by reason, the most frequent first; items without one are left out.
SELECT reason AS value, count(*) AS items
FROM items
WHERE reason IS NOT NULL
GROUP BY value
ORDER BY items DESC, value
LIMIT 500;
