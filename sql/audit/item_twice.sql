-- name: item_twice
-- severity: error
-- meaning: An item that occurs more than once in the catalog.
SELECT i.item_id, t.times, i.source, i.uri, i.locator, i.status
FROM (SELECT item_id, count(*) AS times FROM items GROUP BY item_id HAVING count(*) > 1) AS t
INNER JOIN items AS i ON i.item_id = t.item_id
ORDER BY i.item_id, i.source, i.uri, i.locator
