-- Samples of a released corpus by language, from its manifest file; '' is an unknown language.
SELECT language, count(*) AS samples
FROM read_parquet($manifest)
GROUP BY language
ORDER BY samples DESC, language
