-- The catalog's state of each declared source: the hash of the declaration of its last complete listing (NULL
-- for none), its items, the next ordinal.
SELECT
    sources.source,
    sources.listed_hash,
    count(items.item_id)                AS items,
    coalesce(max(items.ordinal) + 1, 0) AS next_ordinal
FROM sources
LEFT JOIN items ON items.source = sources.source
GROUP BY sources.source, sources.listed_hash;
