-- Withdraws the items of `withdrawn_items`.
UPDATE items
SET status = 'withdrawn', reason = 'takedown', detail = 'identical to a withdrawn item'
FROM withdrawn_items AS w
WHERE items.item_id = w.item_id AND items.source = w.source AND items.ordinal = w.ordinal;
