-- Built corpora: samples in their shards, rows in their manifest, and the manifest's current fingerprint.
SELECT b.corpus, b.samples, coalesce(r.row_count, 0) AS row_count, m.fingerprint
FROM (SELECT corpus, CAST(sum(samples) AS BIGINT) AS samples FROM shards GROUP BY corpus) AS b
LEFT JOIN (SELECT corpus, count(*) AS row_count FROM manifest_items GROUP BY corpus) AS r
    ON r.corpus = b.corpus
LEFT JOIN manifests AS m ON m.corpus = b.corpus
ORDER BY b.corpus;
