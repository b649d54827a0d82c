-- The sources of a corpus, as declared, in the order of declaration.
SELECT s.source, s.adapter, s.license, coalesce(s.homepage, '') AS homepage, held.samples, held.bytes
FROM sources AS s
INNER JOIN (
    SELECT
        m.source,
        count(*) AS samples,
        CAST(sum(i."length" + coalesce(list_sum(list_transform(i.more_images, lambda m: m."length")), 0)) AS BIGINT) AS bytes
    FROM manifest AS m
    INNER JOIN items AS i ON i.item_id = m.item_id
    WHERE m.corpus = $corpus AND i.status = 'ready'
    GROUP BY m.source
) AS held ON held.source = s.source
ORDER BY s.position, s.source;
