-- Rows of the extended manifest that stay, with the start of their order keys. The seed is a variable.
SELECT
    item_id,
    repeat,
    stratum,
    substr(md5(getvariable('draw_seed') || ':order:' || item_id), 1, 8) AS order_prefix
FROM draw_kept
