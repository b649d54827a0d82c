-- The commits of a hosted dataset behind a source's items, with the number of items of each commit.
SELECT revision, CAST(sum(items) AS BIGINT) AS items
FROM item_counts
WHERE source = $source AND revision <> ''
GROUP BY revision
ORDER BY revision;
