-- Candidates with an image that equals or resembles an image of an exclusion list. The hash of an original also
-- excludes the image that it became, as any item shows, in other containers.
WITH excluded AS (
    SELECT sha256 FROM draw_excluded_sha256
    UNION ALL
    SELECT items.sha256
    FROM items
    JOIN draw_excluded_sha256 AS listed ON listed.sha256 = items.original_sha256
    WHERE items.sha256 IS NOT NULL
)
SELECT item_id, category, source, 'excluded' AS reason
FROM draw_candidates
WHERE coalesce(sha256, '') IN (SELECT sha256 FROM excluded)
   OR coalesce(original_sha256, '') IN (SELECT sha256 FROM excluded)
   OR coalesce(dhash, '') IN (SELECT dhash FROM draw_similar_dhashes)
   OR item_id IN (
    SELECT item_id
    FROM draw_more_images
    WHERE coalesce(sha256, '') IN (SELECT sha256 FROM excluded)
       OR coalesce(original_sha256, '') IN (SELECT sha256 FROM excluded)
       OR coalesce(dhash, '') IN (SELECT dhash FROM draw_similar_dhashes)
   )
