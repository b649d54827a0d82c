-- The items of the extended manifest, each with its number of rows there, at most $max_repeats.
SELECT item_id, CASE WHEN count(*) < $max_repeats THEN count(*) ELSE $max_repeats END AS copies
FROM manifest_items
WHERE corpus = $corpus
GROUP BY item_id
