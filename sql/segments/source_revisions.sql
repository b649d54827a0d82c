-- The commits of a hosted dataset that a source's items come from, and how many items come from each.
SELECT
    json_extract_string(hint, '$.commit') AS revision,
    count(*)                              AS items
FROM items
WHERE source = $source
  AND hint LIKE '%"commit"%'
  AND json_extract_string(hint, '$.commit') IS NOT NULL
GROUP BY ALL
ORDER BY revision;
