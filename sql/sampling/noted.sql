-- Whether what is worked out of the items holds for them as they are.
SELECT count(*)
FROM noted
WHERE segments = (SELECT count(*) FROM segments)
  AND items = (SELECT count(*) FROM items)
