-- Items that a settling row speaks of make room for it.
DELETE FROM items
WHERE item_id IN (SELECT item_id FROM incoming WHERE NOT announces);
