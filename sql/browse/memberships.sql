-- The manifests that contain an item: its first position, its occurrences, its stratum and its shard.
SELECT
    m.corpus,
    min(r.position) AS position,
    count(*) AS occurrences,
    any_value(a.node) AS node,
    any_value(a.source) AS source,
    any_value((
        SELECT min(s.path) FROM shards AS s
        WHERE s.corpus = m.corpus AND s.first <= r.position AND r.position < s.last
    )) AS shard
FROM manifest_rows AS r
JOIN manifests AS m ON m.number = r.manifest
LEFT JOIN allocations AS a ON a.corpus = m.corpus AND a.stratum = r.stratum
WHERE r.item_id = $item_id
GROUP BY m.corpus
ORDER BY m.corpus;
