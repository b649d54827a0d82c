-- Records the state of `items` that the deduplication index belongs to.
INSERT INTO dedup_index (segments, items)
SELECT (SELECT count(*) FROM segments), (SELECT count(*) FROM items)
