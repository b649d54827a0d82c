-- Documents of a source with pages that wait, and the sha256 that names each in the cache.
SELECT DISTINCT parent_id, document_sha256
FROM items
WHERE source = $source AND status = 'discovered' AND document_sha256 IS NOT NULL AND parent_id IS NOT NULL;
