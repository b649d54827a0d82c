-- Listed items that the catalog does not hold yet.
SELECT listed.*
FROM listed
LEFT JOIN items ON items.item_id = listed.item_id
WHERE items.item_id IS NULL
ORDER BY listed.ordinal;
