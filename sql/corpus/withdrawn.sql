-- Manifest rows of withdrawn items, by corpus, category and source.
SELECT m.corpus, m.category, m.source, count(*) AS samples
FROM manifest AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE i.status = 'withdrawn'
GROUP BY m.corpus, m.category, m.source
ORDER BY m.corpus, m.category, m.source;
