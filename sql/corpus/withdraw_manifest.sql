-- Manifests without the samples whose items were withdrawn. Positions keep their gaps.
DELETE FROM manifest
WHERE item_id IN (SELECT item_id FROM items WHERE status = 'withdrawn');
