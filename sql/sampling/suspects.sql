-- Candidates that have their bytes in common with other items, candidates or not.
SELECT item_id, category, source, sha256
FROM sample_duplicate_verdicts
WHERE reason IS NULL
  AND item_id NOT IN (SELECT item_id FROM sample_losers)
