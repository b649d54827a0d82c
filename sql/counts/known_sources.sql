-- The catalog's state of each declared source: the hash of the declaration of its last complete listing (NULL
-- for none), its items, the next ordinal.
SELECT
    sources.source,
    sources.listed_hash,
    CAST(coalesce(sum(item_counts.items), 0) AS BIGINT) AS items,
    coalesce(max(item_counts.last_ordinal) + 1, 0)      AS next_ordinal
FROM sources
LEFT JOIN item_counts ON item_counts.source = sources.source
GROUP BY sources.source, sources.listed_hash;
