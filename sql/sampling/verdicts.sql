-- Every item with the reason why it cannot be a candidate by what its own row says; NULL where it can.
-- Both lists that are looked up are empty as a rule, and cost nothing then.
-- The literal after /* where */ stands for the configured predicate.
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
        WHEN source IN (SELECT source FROM sample_gone_sources) THEN 'source_withdrawn'
        WHEN coalesce(license, '') IN (SELECT license FROM sample_refused_licenses) THEN 'license'
        WHEN NOT coalesce((/* where */ TRUE
        ), FALSE) THEN 'where'
    END AS reason
FROM items
