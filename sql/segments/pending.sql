-- Pending items of a source, sorted so that the items of a partition key are adjacent.
-- The rasterizer reads pages, and the adapter reads all other items.
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
