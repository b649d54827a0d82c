-- Units (hosts) of a source that have items of a status (but for pages), the largest first.
SELECT unit, count(*) AS items
FROM items
WHERE source = $source AND status = $status AND json_extract_string(hint, '$.document') IS NULL
GROUP BY unit
ORDER BY items DESC, unit;
