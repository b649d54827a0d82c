-- What verdicts.sql asks of items that have their bytes in common with others.
SELECT
    item_id,
    category,
    source,
    status,
    license,
    sha256,
    NULL AS parent_id,
    NULL AS original_sha256,
    NULL AS dhash
FROM sample_dedup_items
