-- An item, and every other item with the same image: a takedown covers all of them.
CREATE OR REPLACE TEMP TABLE chosen_items AS
SELECT other.item_id
FROM items AS named
INNER JOIN items AS other ON other.item_id = named.item_id OR other.sha256 = named.sha256
WHERE named.item_id = $key;
