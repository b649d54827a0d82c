-- Items whose images are in lost segments, by source.
SELECT source, count(*) FROM items
WHERE status = 'ready' AND list_contains($lost, segment)
GROUP BY source;
