-- Items that look like another one: of each cluster all but the first, by order of the sources, item_id.
-- Where an earlier sample holds members of a cluster, these stay and all others go.
WITH suspects AS (
    SELECT dhash, dhash AS cluster
    FROM sample_candidates
    WHERE dhash IS NOT NULL AND dhash NOT IN (SELECT dhash FROM sample_clusters)
    GROUP BY dhash
    HAVING count(*) > 1
    UNION ALL
    SELECT dhash, cluster FROM sample_clusters
), ranked AS (
    SELECT
        c.item_id,
        c.category,
        c.source,
        e.item_id AS earlier,
        row_number() OVER (
            PARTITION BY p.cluster
            ORDER BY CASE WHEN e.item_id IS NULL THEN 1 ELSE 0 END, s.position, c.item_id
        ) AS place
    FROM sample_candidates AS c
    JOIN suspects AS p ON p.dhash = c.dhash
    JOIN sources AS s ON s.source = c.source
    LEFT JOIN sample_earlier AS e ON e.item_id = c.item_id
)
SELECT item_id, category, source, 'near_duplicate' AS reason
FROM ranked
WHERE place > 1 AND earlier IS NULL
