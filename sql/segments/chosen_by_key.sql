-- One item.
CREATE OR REPLACE TEMP TABLE chosen_items AS
SELECT item_id FROM items WHERE item_id = $key;
