-- Manifest rows by the name of their corpus. The view `manifest` adds category and source.
CREATE OR REPLACE VIEW manifest_items AS
SELECT m.corpus, r.position, r.item_id, r.stratum, r.repeat
FROM manifest_rows AS r
LEFT JOIN manifests AS m ON m.number = r.manifest;
