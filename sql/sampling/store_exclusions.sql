-- How many items were no candidates for a drawn sample, by reason.
INSERT INTO exclusions (corpus, reason, items)
SELECT $corpus, reason, items
FROM sample_exclusions
