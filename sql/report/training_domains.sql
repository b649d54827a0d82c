-- The hosts from which the images of a corpus were fetched, by bytes. Withdrawn items are excluded.
SELECT
    lower(split_part(split_part(split_part(i.uri, '/', 3), '@', -1), ':', 1)) AS domain,
    count(*)                         AS samples,
    CAST(sum(i."length") AS BIGINT)  AS bytes
FROM manifest_items AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.corpus = $corpus AND i.status = 'ready' AND i.uri LIKE 'http%://%'
GROUP BY domain
ORDER BY bytes DESC, samples DESC, domain
