-- Withdraws the items of `withdrawn_items`.
UPDATE items
SET status = 'withdrawn', reason = 'takedown', detail = 'identical to a withdrawn item'
WHERE item_id IN (SELECT item_id FROM withdrawn_items);
