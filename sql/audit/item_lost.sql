-- name: item_lost
-- severity: error
-- meaning: An item in the rows of a merged segment that the catalog does not hold.
SELECT s.source, s.item_id
FROM stored_items AS s
LEFT JOIN items AS i ON i.item_id = s.item_id
WHERE i.item_id IS NULL
GROUP BY s.source, s.item_id
ORDER BY s.source, s.item_id
