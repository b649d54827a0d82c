-- 1 if the deduplication index belongs to the current state of `items`, else 0.
SELECT count(*)
FROM dedup_index
WHERE segments = (SELECT count(*) FROM segments)
  AND items = (SELECT count(*) FROM items)
