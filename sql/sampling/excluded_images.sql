-- Candidates with an image that equals or resembles an image of an exclusion list.
SELECT item_id, category, source, 'excluded' AS reason
FROM draw_candidates
WHERE coalesce(sha256, '') IN (SELECT sha256 FROM draw_excluded_sha256)
   OR coalesce(original_sha256, '') IN (SELECT sha256 FROM draw_excluded_sha256)
   OR coalesce(dhash, '') IN (SELECT dhash FROM draw_similar_dhashes)
   OR item_id IN (
    SELECT item_id
    FROM draw_more_images
    WHERE coalesce(sha256, '') IN (SELECT sha256 FROM draw_excluded_sha256)
       OR coalesce(original_sha256, '') IN (SELECT sha256 FROM draw_excluded_sha256)
       OR coalesce(dhash, '') IN (SELECT dhash FROM draw_similar_dhashes)
   )
