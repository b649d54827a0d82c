-- name: item_twice
-- severity: error
-- meaning: An item that stands in the catalog more than once.
SELECT item_id, count(*) AS times, min(source) AS source, min(uri) AS uri
FROM items
GROUP BY item_id
HAVING count(*) > 1
ORDER BY item_id
