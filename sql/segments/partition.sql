-- Items of a source that have a status (but for pages) and whose unit belongs to one partition, as they
-- were listed.
SELECT items.*
FROM items
INNER JOIN partition_units USING (unit)
WHERE items.source = $source
  AND items.status = $status
  AND json_extract_string(items.hint, '$.document') IS NULL
ORDER BY items.ordinal, items.item_id;
