-- name: purged_but_there
-- severity: error
-- meaning: Bytes or texts of a purged item in a segment or in the cache.
SELECT r.item_id, i.source, i.uri, r.path, r.what
FROM purge_residue AS r
INNER JOIN items AS i ON i.item_id = r.item_id
ORDER BY r.item_id, r.path, r.what
