-- Hashes of candidates that equal an excluded hash on a mask and differ in at most $distance other bits, without
-- those that an earlier mask has found.
SELECT DISTINCT a.dhash
FROM draw_dhashes AS a
JOIN draw_excluded_dhashes AS b
    ON (a.high & $high) = (b.high & $high)
    AND (a.low & $low) = (b.low & $low)
WHERE b.distance = $distance
  AND a.dhash NOT IN (SELECT dhash FROM draw_similar_dhashes)
  AND bit_count(xor(a.high, b.high)) + bit_count(xor(a.low, b.low)) <= $distance
