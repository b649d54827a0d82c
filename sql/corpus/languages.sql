-- Samples of a corpus by language; '' is an unknown language.
SELECT coalesce(i.language, '') AS language, count(*) AS samples
FROM manifest_items AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.corpus = $corpus AND i.status = 'ready'
GROUP BY ALL
ORDER BY samples DESC, language;
