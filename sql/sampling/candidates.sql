-- The candidates: eligible items that no rule excludes (where, opt-outs, exclusion lists, duplicates).
SELECT item_id, parent_id, category, source, sha256, original_sha256, dhash, captioned, pixels
FROM draw_eligibility
WHERE reason IS NULL
  AND item_id NOT IN (SELECT item_id FROM draw_excluded)
