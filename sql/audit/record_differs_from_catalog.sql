-- name: record_differs_from_catalog
-- severity: error
-- meaning: A sample whose record names another source, category or license than the catalog.
SELECT
    f.corpus, f.shard, f.key, 'source, category' AS fields,
    f.record_source || ', ' || f.record_category AS record, m.source || ', ' || m.category AS catalog
FROM shard_samples AS f
INNER JOIN manifest AS m ON m.corpus = f.corpus AND m.item_id = f.item_id AND m.repeat = f.repeat
WHERE f.record_source IS DISTINCT FROM m.source OR f.record_category IS DISTINCT FROM m.category
UNION ALL
SELECT f.corpus, f.shard, f.key, 'license', f.record_license, i.license
FROM shard_samples AS f
INNER JOIN items AS i ON i.item_id = f.item_id
WHERE f.record_license IS DISTINCT FROM coalesce(i.license, '')
ORDER BY corpus, shard, key, fields
