-- Removes the rows that incoming rows replace. An announcement replaces only the row of a gone item.
DELETE FROM items WHERE item_id IN (SELECT item_id FROM incoming WHERE NOT announces);
DELETE FROM items WHERE reason = 'gone' AND item_id IN (SELECT item_id FROM incoming WHERE announces);
