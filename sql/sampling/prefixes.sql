-- The first digits of each candidate's hash: those that occur twice are `sample_suspects`.
SELECT substr(sha256, 1, 8) AS prefix
FROM sample_candidates
WHERE sha256 IS NOT NULL
