-- Samples of manifests whose items were withdrawn, by sample, category and source.
SELECT m.sample, m.category, m.source, count(*) AS samples
FROM manifest AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE i.status = 'withdrawn'
GROUP BY m.sample, m.category, m.source
ORDER BY m.sample, m.category, m.source;
