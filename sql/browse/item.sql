-- One item with all its columns.
SELECT * FROM items WHERE item_id = $item_id;
