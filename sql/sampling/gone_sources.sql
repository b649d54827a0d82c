-- Sources with items that are withdrawn or not declared any more.
SELECT DISTINCT source
FROM draw_stratum_sizes
WHERE source NOT IN (SELECT source FROM sources WHERE withdrawn_at IS NULL)
