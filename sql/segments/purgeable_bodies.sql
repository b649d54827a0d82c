-- Hashes of bodies that only withdrawn items need: their own bytes, and the documents of withdrawn pages.
-- A document with pending pages is kept.
WITH bodies AS (
    SELECT status, original_sha256 AS sha256 FROM items WHERE original_sha256 IS NOT NULL
    UNION ALL
    SELECT status, unnest(list_transform(more_images, lambda m: m.original_sha256))
    FROM items
    WHERE more_images IS NOT NULL
)
(
    SELECT sha256 FROM bodies WHERE status = 'withdrawn'
    EXCEPT
    SELECT sha256 FROM bodies WHERE status <> 'withdrawn'
)
UNION
(
    SELECT document_sha256 FROM items
    WHERE status = 'withdrawn' AND document_sha256 IS NOT NULL
    EXCEPT
    SELECT document_sha256 FROM items WHERE status = 'discovered'
);
