-- What can be drawn: ready items without a verdict against them that lost to no duplicate.
SELECT item_id, category, source, sha256, dhash
FROM sample_verdicts
WHERE reason IS NULL
  AND item_id NOT IN (SELECT item_id FROM sample_losers)
