-- Manifest rows of withdrawn items, and of samples in released corpora with the image of a withdrawn item
-- (`withdrawn_copies`), by corpus, category and source.
SELECT m.corpus, m.category, m.source, count(*) AS samples
FROM manifest AS m
INNER JOIN items AS i ON i.item_id = m.item_id
LEFT JOIN withdrawn_copies AS w ON w.corpus = m.corpus AND w.item_id = m.item_id
WHERE i.status = 'withdrawn' OR w.item_id IS NOT NULL
GROUP BY m.corpus, m.category, m.source
ORDER BY m.corpus, m.category, m.source;
