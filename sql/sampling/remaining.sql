-- Candidates that are not in the extended manifest.
SELECT item_id, category, source
FROM draw_candidates
WHERE item_id NOT IN (SELECT item_id FROM draw_kept)
