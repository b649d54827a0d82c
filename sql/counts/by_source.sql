-- Items of a status, by source: of one reason, unless $reason is NULL, and, unless $page is NULL, only pages of
-- documents (true) or only other items (false).
SELECT source, CAST(sum(items) AS BIGINT) AS items
FROM item_counts
WHERE status = $status
  AND list_contains($sources, source)
  AND ($reason IS NULL OR reason = $reason)
  AND ($page IS NULL OR page = $page)
GROUP BY source;
