-- Contenders that are in for sure.
SELECT item_id, repeat, stratum, order_prefix
FROM sample_contenders
WHERE key IS NULL
