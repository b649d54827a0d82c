-- Corpora that were built: the samples in their shards, and the seats and the fingerprint that their sample
-- has by now.
SELECT b.sample, b.samples, coalesce(m.seats, 0) AS seats, s.fingerprint
FROM (SELECT sample, CAST(sum(samples) AS BIGINT) AS samples FROM shards GROUP BY sample) AS b
LEFT JOIN (SELECT sample, count(*) AS seats FROM seats GROUP BY sample) AS m ON m.sample = b.sample
LEFT JOIN samples AS s ON s.sample = b.sample
ORDER BY b.sample;
