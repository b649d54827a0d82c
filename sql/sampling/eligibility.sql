-- Every item with the reason why it cannot be a candidate, from its own row alone; NULL where it can.
-- Both tables are empty as a rule, and cost nothing then.
SELECT
    item_id,
    parent_id,
    category,
    source,
    sha256,
    original_sha256,
    dhash,
    CASE
        WHEN status <> 'ready' THEN status
        WHEN source IN (SELECT source FROM draw_gone_sources) THEN 'source_withdrawn'
        WHEN coalesce(license, '') IN (SELECT license FROM draw_refused_licenses) THEN 'license'
    END AS reason
FROM items
