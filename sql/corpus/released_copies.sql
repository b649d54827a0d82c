-- Items in the manifest file of a released corpus whose image there is that of a withdrawn item.
SELECT DISTINCT $corpus AS corpus, item_id
FROM read_parquet($manifest)
WHERE sha256 IN (SELECT sha256 FROM withdrawn_hashes)
