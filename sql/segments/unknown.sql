-- Listed rows of items that the catalog lacks.
SELECT listed.*
FROM listed
INNER JOIN changes ON changes.item_id = listed.item_id AND changes.change = 'new'
ORDER BY listed.ordinal;
