-- The earlier selections that stay, with their places in the order.
SELECT
    item_id,
    repeat,
    stratum,
    substr(md5(CAST($seed AS VARCHAR) || ':order:' || item_id), 1, 8) AS order_prefix
FROM sample_kept
