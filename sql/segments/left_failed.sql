-- Failed items by source and reason: the number that later runs read again, the earliest time of the next
-- attempt (UTC), and the number that only `retry` re-queues, after $attempts attempts.
SELECT
    source,
    reason,
    count(*) FILTER (WHERE attempts < $attempts) AS waiting,
    count(*) FILTER (WHERE attempts >= $attempts) AS given_up,
    min(updated_at + to_seconds(least($wait * pow(2, greatest(attempts - 1, 0)), 86400))) FILTER (
        WHERE attempts < $attempts
    ) AS next_attempt
FROM items
WHERE status = 'failed' AND list_contains($sources, source)
GROUP BY source, reason
ORDER BY source, reason;
