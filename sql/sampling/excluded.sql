-- Candidates that are, or look like, a picture that must not be in the sample.
SELECT item_id, category, source, 'excluded' AS reason
FROM sample_candidates
WHERE coalesce(sha256, '') IN (SELECT sha256 FROM sample_excluded)
   OR coalesce(original_sha256, '') IN (SELECT sha256 FROM sample_excluded)
   OR coalesce(dhash, '') IN (SELECT dhash FROM sample_excluded_alike)
