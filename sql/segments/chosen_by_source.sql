-- All items of a source.
CREATE OR REPLACE TEMP TABLE chosen_items AS
SELECT item_id FROM items WHERE source = $source;
