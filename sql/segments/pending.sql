-- Items of a source that wait to be read, in the order in which they are read best: units whole.
-- Pages (their hint names the document they lie in) are read by the rasteriser, the rest by the adapter.
WITH waiting AS (
    SELECT *
    FROM items
    WHERE source = $source
      AND status = 'discovered'
      AND (json_extract_string(hint, '$.document') IS NOT NULL) = $pages
)
SELECT *
FROM waiting
ORDER BY
    CASE WHEN $by_unit AND unit <> '' THEN min(ordinal) OVER (PARTITION BY unit) ELSE ordinal END,
    ordinal,
    length(locator),
    locator,
    item_id;
