-- Purged items, with the hashes to search for remaining bytes.
SELECT
    item_id,
    source,
    [original_sha256, document_sha256] || coalesce(list_transform(more_images, lambda m: m.original_sha256), []) AS bodies
FROM items
WHERE status = 'withdrawn'
  AND json_extract_string(meta, '$.purged') = 'true';
