-- Items of which an incoming row decides are removed: it is inserted in their place. An announcement decides
-- of an item that is gone.
DELETE FROM items WHERE item_id IN (SELECT item_id FROM incoming WHERE NOT announces);
DELETE FROM items WHERE reason = 'gone' AND item_id IN (SELECT item_id FROM incoming WHERE announces);
