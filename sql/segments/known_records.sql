-- The items of a source without pages of documents, as numbers: the first 16 digits of id and record hash, the
-- ordinal, whether the item is in its source (`gone` items are not), and whether the options behind its texts
-- ($texts, their hash) are those of its last reading.
SELECT
    CAST('0x' || left(item_id, 16) AS UBIGINT) AS key,
    CASE WHEN record_hash = '' THEN 0 ELSE CAST('0x' || record_hash AS UBIGINT) END AS record,
    ordinal,
    coalesce(reason <> 'gone', TRUE) AS present,
    options_hash = '' OR left(options_hash, 8) = $texts OR status = 'withdrawn' AS current
FROM items
WHERE source = $source AND document_sha256 IS NULL;
