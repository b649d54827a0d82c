-- Samples that hold less by what was withdrawn (`withdrawn_samples`).
UPDATE samples
SET selected = selected - gone.samples
FROM (
    SELECT sample, CAST(sum(samples) AS BIGINT) AS samples FROM withdrawn_samples GROUP BY sample
) AS gone
WHERE samples.sample = gone.sample;
