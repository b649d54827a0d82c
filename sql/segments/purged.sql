-- Items that were purged, with the hashes by which something of them could still be found.
SELECT item_id, source, original_sha256, document_sha256
FROM items
WHERE status = 'withdrawn'
  AND json_extract_string(meta, '$.purged') = 'true';
