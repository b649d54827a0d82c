-- Withdrawn items of which something may still lie in store or cache, as rows without any content.
-- Their identity and hashes stay: a later listing must know them, and the audit must be able to look.
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
