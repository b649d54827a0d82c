-- The ordinals of listed items, found by id in the whole source.
CREATE OR REPLACE TEMP VIEW known_places AS
SELECT item_id, ordinal FROM items WHERE source = $source AND item_id IN (SELECT item_id FROM listed);
