-- Sources of items that are withdrawn, or not declared.
SELECT source
FROM (SELECT DISTINCT source FROM items) AS found
WHERE source NOT IN (SELECT source FROM sources WHERE withdrawn_at IS NULL)
