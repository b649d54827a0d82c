-- Items with an image that has a hash of a withdrawn item, and pages of a document with such a hash, among the
-- items in `counted`. A re-queued item still has the hashes of its earlier image.
CREATE OR REPLACE TEMP TABLE withdrawn_items AS
SELECT
    items.item_id,
    items.source,
    items.ordinal,
    [items.sha256, items.original_sha256, items.first_sha256]
    || coalesce(list_transform(items.more_images, lambda m: m.sha256), [])
    || coalesce(list_transform(items.more_images, lambda m: m.original_sha256), []) AS hashes
FROM counted
INNER JOIN items
    ON items.item_id = counted.item_id AND items.source = counted.source AND items.ordinal = counted.ordinal
WHERE items.status <> 'withdrawn'
  AND (
    (
        items.status IN ('ready', 'expanded', 'rejected')
        AND (
            items.sha256 IN (SELECT sha256 FROM withdrawn_hashes)
            OR items.original_sha256 IN (SELECT sha256 FROM withdrawn_hashes)
            OR items.first_sha256 IN (SELECT sha256 FROM withdrawn_hashes)
            OR items.item_id IN (
                SELECT more.item_id
                FROM (
                    SELECT item_id, unnest(items.more_images) AS image
                    FROM counted
                    INNER JOIN items USING (item_id, source, ordinal)
                    WHERE items.more_images IS NOT NULL
                ) AS more
                WHERE more.image.sha256 IN (SELECT sha256 FROM withdrawn_hashes)
                   OR more.image.original_sha256 IN (SELECT sha256 FROM withdrawn_hashes)
            )
        )
    )
    OR items.document_sha256 IN (SELECT sha256 FROM withdrawn_hashes)
  );
