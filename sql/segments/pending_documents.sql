-- Documents of a source with pending pages, and the sha256 of each document in the cache.
SELECT DISTINCT parent_id, document_sha256
FROM items
WHERE source = $source AND status = 'discovered' AND document_sha256 IS NOT NULL AND parent_id IS NOT NULL;
