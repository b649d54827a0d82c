-- The items that the incoming rows withdraw, with the hashes of their images.
CREATE OR REPLACE TEMP TABLE withdrawn_items AS
SELECT
    item_id,
    source,
    ordinal,
    [sha256, original_sha256, first_sha256]
    || coalesce(list_transform(more_images, lambda m: m.sha256), [])
    || coalesce(list_transform(more_images, lambda m: m.original_sha256), []) AS hashes
FROM incoming
WHERE status = 'withdrawn';
