-- Hashes of candidates that agree with an excluded picture's on a mask and differ in few bits.
SELECT DISTINCT a.dhash
FROM sample_hashes AS a
JOIN sample_excluded_hashes AS b
    ON (a.high & $high) = (b.high & $high)
    AND (a.low & $low) = (b.low & $low)
WHERE b.distance = $distance
  AND bit_count(xor(a.high, b.high)) + bit_count(xor(a.low, b.low)) <= $distance
