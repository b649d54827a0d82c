-- What can be drawn: the pool without those that lost to a duplicate, an exclusion or an objection.
SELECT item_id, parent_id, category, source, sha256, original_sha256, dhash
FROM sample_pool
WHERE item_id NOT IN (SELECT item_id FROM sample_losers)
