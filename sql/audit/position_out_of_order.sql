-- name: position_out_of_order
-- severity: error
-- meaning: A manifest row that does not follow the preceding row in the order of its manifest,
--   md5(seed || ':order:' || key): the position, the item or the seed is not the one of the draw.
WITH keyed AS (
    SELECT
        m.corpus, m.position, m.item_id, m.repeat,
        md5(
            CAST(d.seed AS VARCHAR) || ':order:' || m.item_id
            || CASE WHEN m.repeat = 0 THEN '' ELSE '-r' || CAST(m.repeat AS VARCHAR) END
        ) AS order_key
    FROM manifest_items AS m
    INNER JOIN manifests AS d ON d.corpus = m.corpus
),
neighbors AS (
    SELECT
        corpus, position, item_id, repeat, order_key,
        lag(order_key) OVER (PARTITION BY corpus ORDER BY position, item_id, repeat) AS key_before
    FROM keyed
)
SELECT corpus, position, item_id, repeat
FROM neighbors
WHERE order_key < key_before
UNION ALL
SELECT corpus, position, item_id, repeat
FROM keyed
WHERE position IS NULL OR position < 0 OR order_key IS NULL
ORDER BY corpus, position, item_id
