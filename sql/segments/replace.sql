-- Removes the items whose rows an outcome replaces.
DELETE FROM items
WHERE item_id IN (SELECT item_id FROM incoming WHERE NOT announces);
