-- Chooses the items with the normalized or original bytes of a chosen item; returns their ids.
INSERT INTO chosen_items
WITH hashes AS (
    SELECT unnest([items.sha256, items.original_sha256]) AS sha256
    FROM items
    INNER JOIN chosen_items ON chosen_items.item_id = items.item_id
)
SELECT items.item_id
FROM items
WHERE items.item_id NOT IN (SELECT item_id FROM chosen_items)
  AND (
    items.sha256 IN (SELECT sha256 FROM hashes WHERE sha256 IS NOT NULL)
    OR items.original_sha256 IN (SELECT sha256 FROM hashes WHERE sha256 IS NOT NULL)
  )
RETURNING item_id;
