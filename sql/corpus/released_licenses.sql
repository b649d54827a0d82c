-- Samples of a released corpus by license, from its manifest file; '' is an unknown license.
SELECT license, count(*) AS samples
FROM read_parquet($manifest)
GROUP BY license
ORDER BY samples DESC, license
