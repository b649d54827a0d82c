-- Pages of re-queued documents, as gone; expanding a document announces its present pages again.
SELECT items.* EXCLUDE (segment) REPLACE (
    'rejected' AS status,
    'gone' AS reason,
    NULL AS detail,
    $run AS run,
    $at AS updated_at
)
FROM items
INNER JOIN changes ON changes.item_id = items.parent_id AND changes.change IN ('relist', 'reread')
WHERE items.source = $source
  AND items.document_sha256 IS NOT NULL
  AND items.status <> 'withdrawn'
  AND items.reason IS DISTINCT FROM 'gone'
ORDER BY items.ordinal, items.item_id;
