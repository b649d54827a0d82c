-- Pairs of hashes of the images of one candidate: the first image and another one.
SELECT c.dhash AS a, m.dhash AS b
FROM draw_candidates AS c
JOIN draw_more_images AS m ON m.item_id = c.item_id
WHERE m.dhash IS NOT NULL AND c.dhash IS NOT NULL AND m.dhash <> c.dhash
