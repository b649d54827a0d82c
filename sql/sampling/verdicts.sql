-- Every item with the reason why it cannot be a candidate by what its own row says; NULL where it can.
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
        WHEN source NOT IN (SELECT source FROM sources WHERE withdrawn_at IS NULL) THEN 'source_withdrawn'
        WHEN coalesce(license, '') IN (SELECT license FROM sample_refused_licenses) THEN 'license'
        WHEN NOT coalesce((/* where */ TRUE
        ), FALSE) THEN 'where'
    END AS reason
FROM items
