-- A number for a sample that has none.
INSERT INTO numbered_samples (sample, number)
SELECT $sample, coalesce(max(number), 0) + 1
FROM numbered_samples
HAVING count(CASE WHEN sample = $sample THEN 1 END) = 0
