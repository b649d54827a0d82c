-- Items that have their bytes in common with others. Only those are compared whole whose integer (buckets.sql)
-- occurs twice.
WITH alike AS MATERIALIZED (
    SELECT item_id, category, source, status, license, sha256
    FROM items
    INNER JOIN draw_buckets AS b ON b.bucket = CAST(hash(sha256) >> 32 AS UINTEGER)
)
SELECT *
FROM alike
WHERE sha256 IN (SELECT sha256 FROM alike GROUP BY sha256 HAVING count(*) > 1)
