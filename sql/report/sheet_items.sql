-- The items of the contact sheets, with the head of their texts.
SELECT
    i.item_id, i.source, i.uri, i.locator, i.category, i.width, i.height, i.license, i.language, i.sha256,
    i.segment, i."offset", i."length", i.run, i.discovered_at, i.parent_id, s.homepage,
    left(coalesce(nullif(i.caption, ''), i.conversations, ''), 300) AS text,
    length(coalesce(nullif(i.caption, ''), i.conversations, '')) > 300 AS cut
FROM items AS i
LEFT JOIN sources AS s ON s.source = i.source
WHERE i.item_id IN (SELECT unnest($ids))
