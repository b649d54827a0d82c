-- Built corpora whose shards hold more or fewer samples than their manifest.
SELECT b.sample, b.samples AS built, coalesce(m.samples, 0) AS listed
FROM (SELECT sample, CAST(sum(samples) AS BIGINT) AS samples FROM shards GROUP BY sample) AS b
LEFT JOIN (SELECT sample, count(*) AS samples FROM seats GROUP BY sample) AS m ON m.sample = b.sample
WHERE coalesce(m.samples, 0) <> b.samples
ORDER BY b.sample;
