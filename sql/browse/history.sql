-- Rows of an item in segment files, with the file of each row.
SELECT filename, status, reason, detail, attempts, sha256, revision, run, updated_at
FROM read_parquet($files, filename = true, union_by_name = true)
WHERE item_id = $item_id;
