-- Manifest rows by the name of their corpus, with the category and source of their stratum.
CREATE OR REPLACE VIEW manifest AS
SELECT m.corpus, r.position, r.item_id, a.node AS category, a.source, r.repeat
FROM manifest_rows AS r
LEFT JOIN manifests AS m ON m.number = r.manifest
LEFT JOIN allocations AS a ON a.corpus = m.corpus AND a.stratum = r.stratum;
