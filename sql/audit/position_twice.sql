-- name: position_twice
-- severity: error
-- meaning: A position that a manifest gives to two samples.
SELECT sample, position, count(*) AS samples, min(item_id) AS item_id
FROM seats
GROUP BY sample, position
HAVING count(*) > 1
ORDER BY sample, position
