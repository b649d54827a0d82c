-- The state of `items`, by which the deduplication index is valid or outdated.
SELECT (SELECT count(*) FROM segments) AS segments, (SELECT count(*) FROM items) AS items
