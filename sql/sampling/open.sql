-- Candidates that no earlier sample has taken.
SELECT item_id, category, source
FROM sample_candidates
WHERE item_id NOT IN (SELECT item_id FROM sample_kept)
