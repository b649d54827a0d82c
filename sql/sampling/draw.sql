-- The draw: the rows of a manifest, complete and in order. This query is the definition; sampling/fast_draw.py
-- gives the same rows sooner.
--
-- draw_candidates (item_id, category, source, ...): the items to draw from.
-- draw_strata (stratum, category, source, seats, rounds): every stratum with seats; `seats` is the number that
--   the kept rows leave, and `rounds` the number of times that an item may be needed to fill them.
-- draw_rounds (repeat): 0, 1, ... up to the greatest number of rounds.
-- draw_kept (item_id, repeat, stratum): the kept rows of the extended manifest; empty without `extend`.
--
-- In a stratum, each round takes the items by md5(seed || ':' || item_id); a round begins when the one before
-- is exhausted. The order of the manifest is md5(seed || ':order:' || key), where the key of a repeat is
-- item_id || '-r' || repeat, and item_id otherwise. Both expressions are fixed: every corpus depends on them.
WITH ranked AS (
    SELECT
        c.item_id,
        r.repeat,
        s.stratum,
        s.seats,
        row_number() OVER (
            PARTITION BY s.stratum
            ORDER BY r.repeat, md5(CAST($seed AS VARCHAR) || ':' || c.item_id), c.item_id
        ) AS place
    FROM draw_candidates AS c
    JOIN draw_strata AS s ON s.category = c.category AND s.source = c.source
    JOIN draw_rounds AS r ON r.repeat < s.rounds
    LEFT JOIN draw_kept AS k ON k.item_id = c.item_id AND k.repeat = r.repeat
    WHERE k.item_id IS NULL
), selected AS (
    SELECT item_id, repeat, stratum
    FROM ranked
    WHERE place <= seats
    UNION ALL
    SELECT item_id, repeat, stratum
    FROM draw_kept
)
SELECT
    row_number() OVER (
        ORDER BY
            md5(
                CAST($seed AS VARCHAR) || ':order:' || item_id
                || CASE WHEN repeat = 0 THEN '' ELSE '-r' || CAST(repeat AS VARCHAR) END
            ),
            item_id,
            repeat
    ) - 1 AS position,
    item_id,
    stratum,
    repeat
FROM selected
