-- The distinct difference hashes of all images of candidates, as two 32-bit numbers.
-- The value of a hexadecimal digit is its position in '123456789abcdef'; strpos gives 0 for the digit 0.
SELECT
    dhash,
    CAST(strpos('123456789abcdef', substr(dhash, 1, 1)) AS BIGINT) * 268435456
        + CAST(strpos('123456789abcdef', substr(dhash, 2, 1)) AS BIGINT) * 16777216
        + CAST(strpos('123456789abcdef', substr(dhash, 3, 1)) AS BIGINT) * 1048576
        + CAST(strpos('123456789abcdef', substr(dhash, 4, 1)) AS BIGINT) * 65536
        + CAST(strpos('123456789abcdef', substr(dhash, 5, 1)) AS BIGINT) * 4096
        + CAST(strpos('123456789abcdef', substr(dhash, 6, 1)) AS BIGINT) * 256
        + CAST(strpos('123456789abcdef', substr(dhash, 7, 1)) AS BIGINT) * 16
        + CAST(strpos('123456789abcdef', substr(dhash, 8, 1)) AS BIGINT) * 1 AS high,
    CAST(strpos('123456789abcdef', substr(dhash, 9, 1)) AS BIGINT) * 268435456
        + CAST(strpos('123456789abcdef', substr(dhash, 10, 1)) AS BIGINT) * 16777216
        + CAST(strpos('123456789abcdef', substr(dhash, 11, 1)) AS BIGINT) * 1048576
        + CAST(strpos('123456789abcdef', substr(dhash, 12, 1)) AS BIGINT) * 65536
        + CAST(strpos('123456789abcdef', substr(dhash, 13, 1)) AS BIGINT) * 4096
        + CAST(strpos('123456789abcdef', substr(dhash, 14, 1)) AS BIGINT) * 256
        + CAST(strpos('123456789abcdef', substr(dhash, 15, 1)) AS BIGINT) * 16
        + CAST(strpos('123456789abcdef', substr(dhash, 16, 1)) AS BIGINT) * 1 AS low
FROM (
    SELECT dhash FROM draw_candidates WHERE dhash IS NOT NULL
    UNION
    SELECT m.dhash
    FROM draw_more_images AS m
    JOIN draw_candidates AS c ON c.item_id = m.item_id
    WHERE m.dhash IS NOT NULL
) AS hashes
