-- Withdrawn items with possible bytes in store or cache, as rows without content. Identity and hashes are
-- kept: later listings and the audit compare with them.
SELECT * EXCLUDE (segment) REPLACE (
    NULL AS "offset",
    NULL AS "length",
    NULL AS caption,
    NULL AS conversations,
    json_object('purged', TRUE) AS meta,
    '{}' AS locator_state,
    $run AS run,
    $at AS updated_at
)
FROM items
WHERE status = 'withdrawn'
  AND coalesce(json_extract_string(meta, '$.purged'), 'false') <> 'true'
ORDER BY source, ordinal, item_id;
