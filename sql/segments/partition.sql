-- Items of a source that have a status and a partition key of one worker, in the order of discovery.
-- Pages are excluded: the rasterizer reads them.
SELECT items.*
FROM items
INNER JOIN partition_keys USING (partition_key)
WHERE items.source = $source
  AND items.status = $status
  AND items.document_sha256 IS NULL
ORDER BY items.ordinal, items.item_id;
