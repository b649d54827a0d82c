-- Who gets the open seats: in each stratum the smallest keys. With the sure contenders, whose key is NULL,
-- this is the sample, ordered by md5(seed || ':order:' || item_id), item_id, repeat.
WITH ranked AS (
    SELECT
        item_id,
        repeat,
        stratum,
        row_number() OVER (PARTITION BY stratum ORDER BY repeat, key, item_id) AS place
    FROM sample_contenders
    WHERE key IS NOT NULL
)
SELECT
    r.item_id,
    r.repeat,
    r.stratum,
    substr(md5(CAST($seed AS VARCHAR) || ':order:' || r.item_id), 1, 8) AS order_prefix
FROM ranked AS r
JOIN sample_open_seats AS o ON o.stratum = r.stratum
WHERE r.place <= o.open
UNION ALL
SELECT
    item_id,
    repeat,
    stratum,
    substr(md5(CAST($seed AS VARCHAR) || ':order:' || item_id), 1, 8) AS order_prefix
FROM sample_kept
