-- Failed items of a source, as re-queued rows: of one reason, unless $reason is NULL, and, unless $attempts is
-- NULL, only those that are due. The wait doubles with every attempt, up to a day; after $attempts attempts no
-- item is due. A time after $at comes from a clock that was ahead, and delays nothing. The number of attempts is
-- kept.
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
  AND (
      $attempts IS NULL
      OR items.attempts < CAST($attempts AS INTEGER)
      AND (
          items.updated_at > $at
          OR items.updated_at
          + to_seconds(least(CAST($wait AS DOUBLE) * pow(2, greatest(items.attempts - 1, 0)), 86400)) <= $at
      )
  )
ORDER BY items.ordinal, items.item_id;
