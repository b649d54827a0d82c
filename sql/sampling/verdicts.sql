-- Every item with the reason why it cannot be a candidate; NULL where it can, duplicates aside.
-- The literals after /* where */ and /* opt_out */ stand for conditions that the configuration gives.
SELECT
    item_id,
    category,
    source,
    sha256,
    original_sha256,
    dhash,
    CASE
        WHEN status <> 'ready' THEN status
        WHEN source NOT IN (SELECT source FROM sources WHERE withdrawn_at IS NULL) THEN 'source_withdrawn'
        WHEN coalesce(license, '') IN (SELECT license FROM sample_refused_licenses) THEN 'license'
        WHEN /* opt_out */ FALSE THEN 'opt_out'
        WHEN NOT coalesce((/* where */ TRUE
        ), FALSE) THEN 'where'
    END AS reason
FROM items
