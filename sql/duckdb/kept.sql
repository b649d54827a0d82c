-- The kept rows of the extended manifest, with the start of their order keys. The seed is a variable.
SELECT
    item_id,
    repeat,
    stratum,
    substr(
        md5(
            getvariable('draw_seed') || ':order:' || item_id
            || CASE WHEN repeat = 0 THEN '' ELSE '-r' || CAST(repeat AS VARCHAR) END
        ),
        1,
        8
    ) AS order_prefix
FROM draw_kept
