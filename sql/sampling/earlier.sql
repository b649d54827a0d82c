-- What an earlier sample holds of each item: how many times, and at most as often as may be repeated.
SELECT item_id, CASE WHEN count(*) < $max_repeats THEN count(*) ELSE $max_repeats END AS copies
FROM manifest_items
WHERE corpus = $corpus
GROUP BY item_id
