-- Items whose images are lost, by source: those in lost segments, and $items, whose images are damaged.
SELECT source, count(*) FROM items
WHERE status = 'ready' AND (list_contains($lost, segment) OR item_id IN (SELECT unnest($items)))
GROUP BY source;
