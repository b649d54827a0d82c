-- Units (hosts) of a source that have items of a status (but for pages), the largest first.
SELECT partition_key, count(*) AS items
FROM items
WHERE source = $source AND status = $status AND document_sha256 IS NULL
GROUP BY partition_key
ORDER BY items DESC, partition_key;
