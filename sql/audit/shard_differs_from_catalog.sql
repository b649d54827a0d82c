-- name: shard_differs_from_catalog
-- severity: error
-- meaning: A shard that is missing, that the catalog does not list, or whose bytes differ from the catalog's hash.
SELECT
    coalesce(s.path, f.path) AS path,
    CASE
        WHEN f.path IS NULL THEN 'not there'
        WHEN s.path IS NULL THEN 'unknown to the catalog'
        ELSE 'other bytes'
    END AS trouble,
    s.sha256 AS catalog, f.sha256 AS found, s.samples AS catalog_samples, f.samples AS found_samples
FROM shards AS s
FULL OUTER JOIN shard_files AS f ON f.path = s.path
WHERE f.path IS NULL
   OR s.path IS NULL
   OR s.sha256 IS DISTINCT FROM f.sha256
   OR s.bytes IS DISTINCT FROM f.bytes
   OR s.samples IS DISTINCT FROM f.samples
ORDER BY path
