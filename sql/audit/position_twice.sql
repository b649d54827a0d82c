-- name: position_twice
-- severity: error
-- meaning: A manifest position that two rows share.
SELECT corpus, position, count(*) AS samples, min(item_id) AS item_id
FROM manifest_items
GROUP BY corpus, position
HAVING count(*) > 1
ORDER BY corpus, position
