-- Removes withdrawn items from all manifests. Positions keep their gaps.
DELETE FROM manifest_rows
WHERE item_id IN (SELECT item_id FROM items WHERE status = 'withdrawn');
