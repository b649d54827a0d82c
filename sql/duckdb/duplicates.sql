-- Items whose bytes equal another item's. Only items whose integer (buckets.sql) occurs more than once are
-- compared by sha256.
WITH alike AS MATERIALIZED (
    SELECT item_id, category, source, status, license, sha256
    FROM items
    INNER JOIN draw_buckets AS b ON b.bucket = CAST(hash(sha256) >> 32 AS UINTEGER)
)
SELECT *
FROM alike
WHERE sha256 IN (SELECT sha256 FROM alike GROUP BY sha256 HAVING count(*) > 1)
