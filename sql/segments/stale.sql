-- Items whose outcome depends on options that changed, as re-queued rows. `expected` holds the hash of the
-- current options for each outcome that depends on options (see pipeline/option_hashes.py). Changed limits
-- ($min_side and others, NULL for none) affect only the stored images that they reject.
-- A stored image keeps its place if only texts are read again.
SELECT chosen.* EXCLUDE (segment, kept) REPLACE (
    'discovered' AS status,
    NULL AS reason,
    NULL AS detail,
    0 AS attempts,
    CASE WHEN kept THEN sha256 END AS sha256,
    CASE WHEN kept THEN first_sha256 END AS first_sha256,
    CASE WHEN kept THEN original_sha256 END AS original_sha256,
    CASE WHEN kept THEN dhash END AS dhash,
    CASE WHEN kept THEN width END AS width,
    CASE WHEN kept THEN height END AS height,
    CASE WHEN kept THEN "offset" END AS "offset",
    CASE WHEN kept THEN "length" END AS "length",
    CASE WHEN kept THEN more_images END AS more_images,
    CASE WHEN kept THEN image_revision END AS image_revision,
    $run AS run,
    $at AS updated_at
)
FROM (
    SELECT judged.* EXCLUDE (shaped, formed, exceeds), formed AND NOT exceeds AS kept
    FROM (
        SELECT
            items.*,
            left(expected.options_hash, 8) = left(items.options_hash, 8) AS shaped,
            items.status = 'ready' AND right(expected.options_hash, 8) = right(items.options_hash, 8) AS formed,
            items.status = 'ready'
            AND expected.options_hash <> items.options_hash
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
        WHERE items.source = $source AND expected.options_hash <> items.options_hash
    ) AS judged
    WHERE status <> 'ready' OR NOT shaped OR NOT formed OR exceeds
) AS chosen
ORDER BY ordinal, item_id;
