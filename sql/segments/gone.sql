-- Items that the source no longer lists, and the pages of such documents, as rows rejected as gone. `stays`
-- marks items in a file or folder ($damaged, uris) that could not be listed completely.
-- `listed_keys` holds the first 16 digits of the ids of all listed items, as numbers.
WITH gone AS (
    SELECT
        item_id,
        len(list_filter($damaged, lambda name: uri = name OR starts_with(uri, name || '/'))) > 0 AS stays
    FROM items
    WHERE source = $source
      AND document_sha256 IS NULL
      AND CAST('0x' || left(item_id, 16) AS UBIGINT) NOT IN (SELECT key FROM listed_keys)
)
SELECT
    items.* EXCLUDE (segment) REPLACE (
        'rejected' AS status,
        'gone' AS reason,
        NULL AS detail,
        $run AS run,
        $at AS updated_at
    ),
    gone.stays
FROM items
INNER JOIN gone
    ON gone.item_id = CASE WHEN items.document_sha256 IS NULL THEN items.item_id ELSE items.parent_id END
WHERE items.source = $source
  AND items.status <> 'withdrawn'
  AND items.reason IS DISTINCT FROM 'gone'
ORDER BY items.ordinal, items.item_id;
