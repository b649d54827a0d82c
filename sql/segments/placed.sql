-- Amended and re-queued items whose bytes were merged earlier keep their segment in the catalog.
UPDATE incoming
SET segment = present.segment
FROM present
WHERE present.item_id = incoming.item_id
  AND incoming.kind IN ('amend', 'relist')
  AND incoming."offset" IS NOT NULL
  AND incoming.place IS NULL;
