-- Candidates that equal or resemble an image of an exclusion list.
SELECT item_id, category, source, 'excluded' AS reason
FROM draw_candidates
WHERE coalesce(sha256, '') IN (SELECT sha256 FROM draw_excluded_sha256)
   OR coalesce(original_sha256, '') IN (SELECT sha256 FROM draw_excluded_sha256)
   OR coalesce(dhash, '') IN (SELECT dhash FROM draw_similar_dhashes)
