-- Whether a source has items whose outcome depends on options that changed (see segments/stale.sql).
SELECT count(*) > 0
FROM item_counts
INNER JOIN expected
    ON expected.status = item_counts.status
    AND expected.reason = item_counts.reason
    AND expected.page = item_counts.page
WHERE item_counts.source = $source AND expected.options_hash <> item_counts.options_hash;
