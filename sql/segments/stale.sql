-- Items whose image depends on options that changed, as re-queued rows. `expected` holds the hash of the current
-- options for each outcome that depends on options (see pipeline/option_hashes.py). Its first 8 digits are those of
-- the options behind texts: `changes` has the items that they concern. Changed limits ($min_side and others, NULL
-- for none) affect only the stored images that they reject.
SELECT judged.* EXCLUDE (segment, formed, exceeds) REPLACE (
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
FROM (
    SELECT
        items.*,
        items.status = 'ready' AND right(expected.options_hash, 8) = right(items.options_hash, 8) AS formed,
        items.status = 'ready'
        AND coalesce(
            least(width, height) < $min_side
            OR greatest(width, height) > $max_side
            OR greatest(width, height) > $max_aspect * least(width, height)
            OR CAST(width AS BIGINT) * height > $max_pixels
            OR bytes > $max_bytes,
            FALSE
        )
        OR coalesce(len(list_filter(
            more_images,
            lambda m: coalesce(
                least(m.width, m.height) < $min_side
                OR greatest(m.width, m.height) > $max_side
                OR greatest(m.width, m.height) > $max_aspect * least(m.width, m.height)
                OR CAST(m.width AS BIGINT) * m.height > $max_pixels
                OR m.bytes > $max_bytes,
                FALSE
            )
        )), 0) > 0 AS exceeds
    FROM items
    INNER JOIN expected
        ON expected.status = items.status
        AND expected.reason = coalesce(items.reason, '')
        AND expected.page = (items.document_sha256 IS NOT NULL)
    WHERE items.source = $source AND substr(expected.options_hash, 9) <> substr(items.options_hash, 9)
) AS judged
WHERE status <> 'ready' OR NOT formed OR exceeds
ORDER BY ordinal, item_id;
