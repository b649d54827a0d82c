-- Failed items of the sources, as re-queued rows. The number of attempts is kept.
SELECT items.* EXCLUDE (segment) REPLACE (
    'discovered' AS status,
    NULL AS reason,
    NULL AS detail,
    $run AS run,
    $at AS updated_at
)
FROM items
WHERE items.status = 'failed'
  AND items.source = $source
  AND ($reason IS NULL OR items.reason = $reason)
ORDER BY items.ordinal, items.item_id;
