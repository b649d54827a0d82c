-- From now on what is worked out of the items holds for them as they are.
INSERT INTO noted (segments, items)
SELECT (SELECT count(*) FROM segments), (SELECT count(*) FROM items)
