-- The commits of a hosted dataset behind a source's items, with the number of items of each commit.
SELECT
    json_extract_string(locator_state, '$.commit') AS revision,
    count(*)                              AS items
FROM items
WHERE source = $source
  AND locator_state LIKE '%"commit"%'
  AND json_extract_string(locator_state, '$.commit') IS NOT NULL
GROUP BY ALL
ORDER BY revision;
