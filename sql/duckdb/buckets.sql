-- An integer for each item with bytes, the same for the same sha256. DuckDB's `hash` may be another function
-- in its next version, so that nothing may depend on which integer it is.
SELECT CAST(hash(sha256) >> 32 AS UINTEGER) AS bucket
FROM items
WHERE sha256 IS NOT NULL
