-- Rows of a source that lost segments may have written last, unchanged: the rows of the same runs. Items with
-- lost images are excluded (requeue_lost.sql).
SELECT items.* EXCLUDE (segment) REPLACE ($run AS run, $at AS updated_at)
FROM items
WHERE items.source = $source
  AND (
    list_contains($lost, items.segment)
    OR items.run IN (SELECT run FROM segments WHERE source = $source AND list_contains($lost, segment))
  )
  AND NOT (
    items."offset" IS NOT NULL
    AND items.status <> 'withdrawn'
    AND (list_contains($lost, items.segment) OR items.item_id IN (SELECT unnest($items)))
  )
ORDER BY items.ordinal, items.item_id;
