-- Known items whose declaration changed: their rows with the category, licence and texts as listed now.
-- Values that only reading an item gives (a sidecar's caption) are listed as NULL and stay.
SELECT items.* EXCLUDE (segment) REPLACE (
    listed.category AS category,
    listed.license AS license,
    coalesce(listed.caption, items.caption) AS caption,
    coalesce(listed.conversations, items.conversations) AS conversations,
    coalesce(listed.language, items.language) AS language,
    listed.run AS run,
    listed.updated_at AS updated_at
)
FROM items
INNER JOIN listed ON listed.item_id = items.item_id
WHERE items.status <> 'withdrawn'
  AND (
    listed.category IS DISTINCT FROM items.category
    OR listed.license IS DISTINCT FROM items.license
    OR coalesce(listed.caption, items.caption) IS DISTINCT FROM items.caption
    OR coalesce(listed.conversations, items.conversations) IS DISTINCT FROM items.conversations
    OR coalesce(listed.language, items.language) IS DISTINCT FROM items.language
  )
ORDER BY items.ordinal;
