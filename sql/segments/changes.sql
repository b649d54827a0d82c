-- The changes of the catalog by a batch of listed rows; rows without a change are omitted.
-- new: the catalog lacks the item. relist: the content changed, and the item is read again. amend: only listed
-- columns changed. withdrawn: the item changed, and its withdrawal stays valid.
CREATE OR REPLACE TEMP TABLE changes AS
SELECT
    listed.item_id,
    CASE
        WHEN known.item_id IS NULL THEN 'new'
        WHEN known.status = 'withdrawn' THEN 'withdrawn'
        WHEN known.reason = 'gone' OR known.revision <> listed.revision THEN 'relist'
        ELSE 'amend'
    END AS change
FROM listed
LEFT JOIN (
    SELECT item_id, status, reason, revision, record_hash FROM items WHERE source = $source
) AS known ON known.item_id = listed.item_id
WHERE known.item_id IS NULL OR known.reason = 'gone' OR known.record_hash <> listed.record_hash;
