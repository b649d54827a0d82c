-- Hashes of bodies that only withdrawn items need: their own bytes, and the documents of withdrawn pages.
-- A document with pending pages is kept.
(
    SELECT original_sha256 AS sha256 FROM items
    WHERE status = 'withdrawn' AND original_sha256 IS NOT NULL
    EXCEPT
    SELECT original_sha256 FROM items WHERE status <> 'withdrawn' AND original_sha256 IS NOT NULL
)
UNION
(
    SELECT document_sha256 FROM items
    WHERE status = 'withdrawn' AND document_sha256 IS NOT NULL
    EXCEPT
    SELECT document_sha256 FROM items WHERE status = 'discovered'
);
