-- Samples and image bytes of a corpus by license. Withdrawn items are excluded.
SELECT coalesce(i.license, '') AS license, count(*) AS samples, CAST(sum(i."length") AS BIGINT) AS bytes
FROM manifest_items AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.corpus = $corpus AND i.status = 'ready'
GROUP BY ALL
ORDER BY samples DESC, license
