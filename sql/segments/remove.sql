-- Removes the replaced rows.
DELETE FROM items
USING present
WHERE items.item_id = present.item_id AND items.source = present.source AND items.ordinal = present.ordinal;
