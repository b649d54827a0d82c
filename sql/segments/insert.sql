-- Outcomes, and announced items that the catalog does not hold.
INSERT INTO items BY NAME
SELECT incoming.* EXCLUDE (announces, number, kind, place)
FROM incoming
LEFT JOIN items ON items.item_id = incoming.item_id
WHERE items.item_id IS NULL;
