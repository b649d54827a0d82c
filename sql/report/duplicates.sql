-- Items whose bytes equal another item's, by source: how many, how many images they are, and how many are kept.
SELECT source, count(*) AS items, count(DISTINCT sha256) AS images, count(*) FILTER (WHERE kept) AS kept
FROM duplicates
GROUP BY source
ORDER BY items DESC, source
