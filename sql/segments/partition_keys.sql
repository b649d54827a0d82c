-- Partition keys (hosts) of a source with items of a status, without pages, the largest first.
SELECT partition_key, count(*) AS items
FROM items
WHERE source = $source AND status = $status AND document_sha256 IS NULL
GROUP BY partition_key
ORDER BY items DESC, partition_key;
