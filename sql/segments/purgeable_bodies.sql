-- Hashes of bodies that only withdrawn items need: their own, and the documents whose pages they are.
-- A document stays for as long as pages of it wait to be read.
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
