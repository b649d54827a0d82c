-- Expanded documents of a source ($documents), as re-queued rows. The rows of their pages do not change.
SELECT items.* EXCLUDE (segment) REPLACE (
    'discovered' AS status,
    NULL AS reason,
    NULL AS detail,
    $run AS run,
    $at AS updated_at
)
FROM items
WHERE items.source = $source AND items.status = 'expanded' AND list_contains($documents, items.item_id)
ORDER BY items.ordinal, items.item_id;
