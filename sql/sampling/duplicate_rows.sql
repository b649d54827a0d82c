-- All columns of the items that have their bytes in common with others, for a configured predicate.
SELECT *
FROM items
WHERE item_id IN (SELECT item_id FROM sample_dedup_items)
