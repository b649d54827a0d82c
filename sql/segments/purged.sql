-- Purged items, with the hashes to search for remaining bytes.
SELECT item_id, source, original_sha256, document_sha256
FROM items
WHERE status = 'withdrawn'
  AND json_extract_string(meta, '$.purged') = 'true';
