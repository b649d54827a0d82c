-- The declaration of an item's source, and the version of derlem that wrote its row last.
SELECT sources.adapter, sources.config, sources.homepage, runs.version
FROM items
JOIN sources ON sources.source = items.source
LEFT JOIN runs ON runs.run = items.run
WHERE items.item_id = $item_id;
