-- Candidates that are, or are pages of, what its publisher reserved.
SELECT item_id, category, source, 'opt_out' AS reason
FROM sample_candidates
WHERE item_id IN (SELECT item_id FROM sample_objecting)
   OR coalesce(parent_id, '') IN (SELECT item_id FROM sample_objecting)
