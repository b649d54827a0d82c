-- All candidates but one of each cluster of similar images. The preferred item ($prefer: captioned, largest or
-- first) has priority, then the item of the source that is declared first, then the smallest item_id. If members of a cluster are in the extended manifest, all of these are
-- kept and all others are excluded.
WITH members AS (
    SELECT dhash, dhash AS cluster
    FROM draw_candidates
    WHERE dhash IS NOT NULL AND dhash NOT IN (SELECT dhash FROM draw_clusters)
    GROUP BY dhash
    HAVING count(*) > 1
    UNION ALL
    SELECT dhash, cluster FROM draw_clusters
), ranked AS (
    SELECT
        c.item_id,
        c.category,
        c.source,
        e.item_id AS earlier,
        row_number() OVER (
            PARTITION BY m.cluster
            ORDER BY
                CASE WHEN e.item_id IS NULL THEN 1 ELSE 0 END,
                CASE WHEN $prefer = 'captioned' AND c.captioned THEN 0 ELSE 1 END,
                CASE WHEN $prefer = 'largest' THEN -c.pixels ELSE 0 END,
                s.position,
                c.item_id
        ) AS place
    FROM draw_candidates AS c
    JOIN members AS m ON m.dhash = c.dhash
    JOIN sources AS s ON s.source = c.source
    LEFT JOIN draw_earlier AS e ON e.item_id = c.item_id
)
SELECT item_id, category, source, 'near_duplicate' AS reason
FROM ranked
WHERE place > 1 AND earlier IS NULL
