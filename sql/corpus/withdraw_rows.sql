-- Removes withdrawn items from all manifests, and `withdrawn_copies`. Positions keep their gaps.
DELETE FROM manifest_rows
WHERE item_id IN (SELECT item_id FROM items WHERE status = 'withdrawn')
   OR (manifest, item_id) IN (
        SELECT (m.number, w.item_id)
        FROM withdrawn_copies AS w
        INNER JOIN manifests AS m ON m.corpus = w.corpus
    );
