-- Withdrawn items that may have bytes in store or cache, as rows without content. Identity and hashes are
-- kept for the comparison with later listings and for the audit.
SELECT * EXCLUDE (segment) REPLACE (
    NULL AS "offset",
    NULL AS "length",
    list_transform(more_images, lambda m: struct_update(m, "offset" := NULL::BIGINT, "length" := NULL::BIGINT)) AS more_images,
    NULL AS caption,
    CASE WHEN FALSE THEN captions END AS captions,
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
