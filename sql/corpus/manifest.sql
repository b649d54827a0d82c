-- A manifest in order, without the samples that were withdrawn.
SELECT m.sample, m.position, m.item_id, m.category, m.source, m.repeat
FROM manifest AS m
WHERE m.sample = $sample
  AND NOT EXISTS (SELECT 1 FROM items AS i WHERE i.item_id = m.item_id AND i.status = 'withdrawn')
ORDER BY m.position;
