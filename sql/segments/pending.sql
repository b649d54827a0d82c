-- Items of a source that wait to be read, in the order in which they are read best: partition keys whole.
-- Pages are read by the rasteriser, all other items by the adapter.
WITH waiting AS (
    SELECT *
    FROM items
    WHERE source = $source
      AND status = 'discovered'
      AND (document_sha256 IS NOT NULL) = $pages
)
SELECT *
FROM waiting
ORDER BY
    CASE WHEN $by_key AND partition_key <> '' THEN min(ordinal) OVER (PARTITION BY partition_key) ELSE ordinal END,
    ordinal,
    length(locator),
    locator,
    item_id;
