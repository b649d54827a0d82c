-- Pairs of hashes that are equal on a mask and differ in at most $distance other bits.
SELECT a.dhash AS a, b.dhash AS b
FROM draw_dhashes AS a
JOIN draw_dhashes AS b
    ON (a.high & $high) = (b.high & $high)
    AND (a.low & $low) = (b.low & $low)
WHERE a.dhash < b.dhash
  AND bit_count(xor(a.high, b.high)) + bit_count(xor(a.low, b.low)) <= $distance
