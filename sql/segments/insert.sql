-- Inserts outcomes, and announced items that are not in the catalog.
INSERT INTO items BY NAME
SELECT incoming.* EXCLUDE (announces, number, kind, place)
FROM incoming
LEFT JOIN items ON items.item_id = incoming.item_id
WHERE items.item_id IS NULL;
