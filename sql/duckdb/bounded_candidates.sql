-- Candidates within the key bounds, for sampling/fast_draw.py: the slot that each can fill, its rank key if the
-- item is ranked (NULL: below `low`, selected without ranking), and the start of its order key.
-- Variables: the seed as text, and the range of item ids. The upper bound is a join condition, because DuckDB
-- would compute the key twice for a filter.
SELECT
    k.item_id,
    b.slot,
    CASE WHEN k.key >= b.low THEN substr(k.key, 1, 16) END AS key,
    substr(md5(getvariable('draw_seed') || ':order:' || k.item_id || b.suffix), 1, 8) AS order_prefix
FROM (
    SELECT item_id, category, source, md5(getvariable('draw_seed') || ':' || item_id) AS key
    FROM draw_remaining
    WHERE item_id >= getvariable('draw_first') AND item_id < getvariable('draw_last')
) AS k
JOIN draw_bounds AS b ON b.category = k.category AND b.source = k.source AND k.key <= b.high
