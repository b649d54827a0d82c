-- What the catalog knows of each declared source: the hash of its declaration, its items, the next ordinal.
SELECT
    sources.source,
    sources.config_hash,
    count(items.item_id)                AS items,
    coalesce(max(items.ordinal) + 1, 0) AS next_ordinal
FROM sources
LEFT JOIN items ON items.source = sources.source
GROUP BY sources.source, sources.config_hash;
