-- Candidates that do not satisfy the configured predicate (`where`).
SELECT item_id, category, source, 'where' AS reason
FROM draw_candidates
WHERE item_id IN (SELECT item_id FROM draw_unmatched)
