-- Items by license, the most frequent first; items without one are left out.
SELECT license AS value, count(*) AS items
FROM items
WHERE license IS NOT NULL
GROUP BY value
ORDER BY items DESC, value
LIMIT 500;
