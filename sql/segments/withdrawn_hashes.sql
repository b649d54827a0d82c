-- Hashes of the items in `withdrawn_items` that are missing in `withdrawn_hashes`.
INSERT INTO withdrawn_hashes
SELECT DISTINCT hashes.sha256
FROM (SELECT unnest(hashes) AS sha256 FROM withdrawn_items) AS hashes
LEFT JOIN withdrawn_hashes AS kept ON kept.sha256 = hashes.sha256
WHERE hashes.sha256 IS NOT NULL AND kept.sha256 IS NULL
RETURNING sha256;
