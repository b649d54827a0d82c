-- Items whose bytes equal another item's. Only items whose integer (buckets.sql) occurs more than once are
-- compared by sha256.
WITH alike AS MATERIALIZED (
    SELECT
        item_id,
        category,
        source,
        status,
        license,
        sha256,
        md5(concat_ws(chr(31), coalesce(caption, ''), coalesce(CAST(captions AS VARCHAR), ''), coalesce(conversations, '')))
            AS texts,
        caption IS NOT NULL OR conversations IS NOT NULL AS captioned,
        coalesce(CAST(width AS BIGINT) * height, 0) AS pixels
    FROM items
    INNER JOIN draw_buckets AS b ON b.bucket = CAST(hash(sha256) >> 32 AS UINTEGER)
)
SELECT *
FROM alike
WHERE sha256 IN (SELECT sha256 FROM alike GROUP BY sha256 HAVING count(*) > 1)
