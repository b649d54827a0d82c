-- Who gets the open seats: in each stratum the smallest keys. With the sure contenders, whose key is NULL,
-- this is the sample, ordered by md5(seed || ':order:' || item_id), item_id, repeat.
-- `high` and `low` are a key, or its halves, in any form that sorts like it.
SELECT r.row, r.repeat
FROM (
    SELECT
        row,
        repeat,
        stratum,
        row_number() OVER (PARTITION BY stratum ORDER BY repeat, high, low, row) AS place
    FROM sample_contested
) AS r
JOIN sample_open_seats AS o ON o.stratum = r.stratum
WHERE r.place <= o.open
