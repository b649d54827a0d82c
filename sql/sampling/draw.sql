-- The sample, in any order: the corpus is ordered by (order_key, item_id, repeat).
-- In each stratum the open seats go to the smallest keys.
WITH ranked AS (
    SELECT
        item_id,
        repeat,
        stratum,
        row_number() OVER (PARTITION BY stratum ORDER BY repeat, key, item_id) AS place
    FROM sample_contenders
    WHERE key IS NOT NULL
), selected AS (
    SELECT item_id, repeat, stratum
    FROM sample_contenders
    WHERE key IS NULL
    UNION ALL
    SELECT r.item_id, r.repeat, r.stratum
    FROM ranked AS r
    JOIN sample_open_seats AS o ON o.stratum = r.stratum
    WHERE r.place <= o.open
    UNION ALL
    SELECT item_id, repeat, stratum
    FROM sample_kept
)
SELECT item_id, repeat, stratum, md5(CAST($seed AS VARCHAR) || ':order:' || item_id) AS order_key
FROM selected
