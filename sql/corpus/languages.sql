-- The languages of a corpus, sample by sample; '' where none is known.
SELECT coalesce(i.language, '') AS language, count(*) AS samples
FROM seats AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.sample = $sample AND i.status = 'ready'
GROUP BY ALL
ORDER BY samples DESC, language;
