-- Rows that were added to, removed from and kept in a manifest, by stratum; a row is an item and its repeat.
SELECT
    coalesce(a.category, b.category)                        AS category,
    coalesce(a.source, b.source)                            AS source,
    count(*) FILTER (WHERE b.item_id IS NULL)               AS went,
    count(*) FILTER (WHERE a.item_id IS NULL)               AS came,
    count(*) FILTER (WHERE a.item_id IS NOT NULL AND b.item_id IS NOT NULL) AS stayed
FROM (SELECT * FROM manifest WHERE corpus = $a) AS a
FULL JOIN (SELECT * FROM manifest WHERE corpus = $b) AS b
    ON b.item_id = a.item_id AND b.repeat = a.repeat AND b.category = a.category AND b.source = a.source
GROUP BY coalesce(a.category, b.category), coalesce(a.source, b.source)
ORDER BY category, source
