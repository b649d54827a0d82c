-- Reduces the number of rows of manifests by `withdrawn_samples`.
UPDATE manifests
SET selected = selected - gone.samples
FROM (
    SELECT corpus, CAST(sum(samples) AS BIGINT) AS samples FROM withdrawn_samples GROUP BY corpus
) AS gone
WHERE manifests.corpus = gone.corpus;
