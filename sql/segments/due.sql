-- Failed items of a source that are due for another attempt, as rows that are re-queued. The wait doubles with
-- every attempt, up to a day; after $attempts attempts an item is left to `retry`.
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
