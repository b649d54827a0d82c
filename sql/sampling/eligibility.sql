-- Every item with the reason that excludes it, by its own row alone; NULL for a possible candidate.
-- Both tables are usually empty, and then take no time.
SELECT
    item_id,
    parent_id,
    category,
    source,
    sha256,
    original_sha256,
    dhash,
    caption IS NOT NULL OR conversations IS NOT NULL AS captioned,
    coalesce(CAST(width AS BIGINT) * height, 0) AS pixels,
    CASE
        WHEN status <> 'ready' THEN status
        WHEN source IN (SELECT source FROM draw_gone_sources) THEN 'source_withdrawn'
        WHEN coalesce(license, '') IN (SELECT license FROM draw_refused_licenses) THEN 'license'
    END AS reason
FROM items
