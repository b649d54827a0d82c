-- An integer for each item with bytes, equal for equal sha256. No result may depend on the integer's value,
-- because DuckDB's `hash` may change between versions.
SELECT CAST(hash(sha256) >> 32 AS UINTEGER) AS bucket
FROM items
WHERE sha256 IS NOT NULL
