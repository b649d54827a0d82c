-- How many items were no candidates for a drawn sample, by reason.
INSERT INTO exclusions (sample, reason, items)
SELECT $sample, reason, items
FROM sample_exclusions
