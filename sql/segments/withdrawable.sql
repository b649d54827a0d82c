-- The chosen items and the pages of chosen documents, as withdrawn rows.
SELECT items.* EXCLUDE (segment) REPLACE (
    'withdrawn' AS status,
    'takedown' AS reason,
    $detail AS detail,
    $run AS run,
    $at AS updated_at
)
FROM items
INNER JOIN (
    SELECT item_id FROM chosen_items
    UNION
    SELECT items.item_id FROM items INNER JOIN chosen_items ON items.parent_id = chosen_items.item_id
) AS gone ON gone.item_id = items.item_id
WHERE items.status <> 'withdrawn'
ORDER BY items.source, items.ordinal, items.item_id;
