-- name: record_differs_from_catalog
-- severity: error
-- meaning: A sample whose record names another source, category or licence than the catalog.
SELECT
    f.sample, f.shard, f.key,
    f.record_source, m.source, f.record_category, m.category, f.record_license, i.license
FROM shard_samples AS f
INNER JOIN manifest AS m ON m.sample = f.sample AND m.item_id = f.item_id AND m.repeat = f.repeat
INNER JOIN items AS i ON i.item_id = f.item_id
WHERE f.record_source IS DISTINCT FROM i.source
   OR f.record_source IS DISTINCT FROM m.source
   OR f.record_category IS DISTINCT FROM m.category
   OR f.record_license IS DISTINCT FROM coalesce(i.license, '')
ORDER BY f.sample, f.shard, f.key
