-- Items of a source that wait to be read, in the order in which they are read best.
-- Pages (their hint names the document they lie in) are read by the rasteriser, the rest by the adapter.
SELECT items.*
FROM items
LEFT JOIN (
    SELECT unit, min(ordinal) AS first FROM items WHERE source = $source AND unit <> '' GROUP BY unit
) AS units ON units.unit = items.unit AND $by_unit
WHERE items.source = $source
  AND items.status = 'discovered'
  AND (json_extract_string(items.hint, '$.document') IS NOT NULL) = $pages
ORDER BY coalesce(units.first, items.ordinal), items.ordinal, length(items.locator), items.locator, items.item_id
