-- Amended items whose bytes were merged earlier keep the segment that the catalog has for them.
UPDATE incoming
SET segment = items.segment
FROM items
WHERE items.item_id = incoming.item_id
  AND incoming.kind = 'amend'
  AND incoming.status = 'ready'
  AND incoming.place IS NULL;
