-- Failed items of a source that are due for another attempt, as re-queued rows. The wait doubles with every
-- attempt, up to a day; after $attempts attempts only `retry` re-queues an item.
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
  AND items.attempts < $attempts
  AND items.updated_at + to_seconds(least($wait * pow(2, greatest(items.attempts - 1, 0)), 86400)) <= $at
ORDER BY items.ordinal, items.item_id;
