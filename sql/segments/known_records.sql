-- The items of a source without pages of documents, as numbers: the first 16 digits of id and record hash, the
-- ordinal, and whether the item is in its source (`gone` items are not).
SELECT
    CAST('0x' || left(item_id, 16) AS UBIGINT) AS key,
    CASE WHEN record_hash = '' THEN 0 ELSE CAST('0x' || record_hash AS UBIGINT) END AS record,
    ordinal,
    coalesce(reason <> 'gone', TRUE) AS present
FROM items
WHERE source = $source AND document_sha256 IS NULL;
