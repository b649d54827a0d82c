-- Candidates with an opt-out, and pages of documents with an opt-out.
SELECT item_id, category, source, 'opt_out' AS reason
FROM draw_candidates
WHERE item_id IN (SELECT item_id FROM draw_objecting)
   OR coalesce(parent_id, '') IN (SELECT item_id FROM draw_objecting)
