-- Samples with a text by its language. Withdrawn items are excluded.
SELECT coalesce(i.language, '') AS language, count(*) AS samples
FROM manifest_items AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.corpus = $corpus AND i.status = 'ready'
  AND (coalesce(i.caption, '') <> '' OR coalesce(i.conversations, '') NOT IN ('', '[]'))
GROUP BY ALL
ORDER BY samples DESC, language
