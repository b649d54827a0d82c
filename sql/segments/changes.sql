-- The changes of the catalog by listed rows that are new or changed; rows without a change are omitted.
-- `known_places` holds the ordinals of listed items that the catalog may have.
-- new: the catalog lacks the item. relist: the content changed, and the item is read again. reread: the options
-- behind texts changed ($texts, their hash), and the item is read again, unless it was never read. amend: only
-- listed columns changed. withdrawn: the item changed, and its withdrawal stays valid.
CREATE OR REPLACE TEMP TABLE changes AS
SELECT
    listed.item_id,
    places.ordinal,
    CASE
        WHEN known.item_id IS NULL THEN 'new'
        WHEN known.status = 'withdrawn' THEN 'withdrawn'
        WHEN known.reason = 'gone' OR known.revision <> listed.revision THEN 'relist'
        WHEN known.options_hash <> '' AND left(known.options_hash, 8) <> $texts THEN 'reread'
        ELSE 'amend'
    END AS change
FROM listed
LEFT JOIN known_places AS places ON places.item_id = listed.item_id
LEFT JOIN items AS known
    ON known.item_id = listed.item_id AND known.ordinal = places.ordinal AND known.source = $source
WHERE known.item_id IS NULL
   OR known.reason = 'gone'
   OR known.record_hash <> listed.record_hash
   OR (known.options_hash <> '' AND left(known.options_hash, 8) <> $texts AND known.status <> 'withdrawn');
