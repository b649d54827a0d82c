-- Items of a source whose images are in lost segments, and $items, whose images are damaged, as re-queued rows.
SELECT items.* EXCLUDE (segment) REPLACE (
    'discovered' AS status,
    NULL AS reason,
    NULL AS detail,
    0 AS attempts,
    NULL AS sha256,
    NULL AS first_sha256,
    NULL AS original_sha256,
    NULL AS dhash,
    NULL AS width,
    NULL AS height,
    NULL AS "offset",
    NULL AS "length",
    CASE WHEN FALSE THEN more_images END AS more_images,
    NULL AS image_revision,
    $run AS run,
    $at AS updated_at
)
FROM items
WHERE items.source = $source
  AND items."offset" IS NOT NULL
  AND items.status <> 'withdrawn'
  AND (list_contains($lost, items.segment) OR items.item_id IN (SELECT unnest($items)))
ORDER BY items.ordinal, items.item_id;
