-- Items against which nothing is known from their own rows.
SELECT item_id, parent_id, category, source, sha256, original_sha256, dhash
FROM sample_verdicts
WHERE reason IS NULL
