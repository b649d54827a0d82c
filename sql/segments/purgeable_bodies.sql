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
    SELECT coalesce(json_extract_string(hint, '$.document'), json_extract_string(meta, '$.document')) AS sha256
    FROM items
    WHERE status = 'withdrawn' AND parent_id IS NOT NULL
    EXCEPT
    SELECT json_extract_string(hint, '$.document') FROM items WHERE status = 'discovered'
);
