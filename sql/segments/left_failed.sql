-- Items that wait for another attempt, by source, host and reason: failed items, and pending items of the hosts
-- $paused (reason NULL). `waiting` counts the items that later runs read, `given_up` those that only `retry`
-- re-queues, after $attempts attempts; `since` is the earliest failure that is still recorded, `next_attempt` the
-- earliest time of an attempt (UTC). The host of an item without a URL is ''. A time after $at comes from a clock
-- that was ahead, and does not delay an attempt.
WITH unfinished AS (
    SELECT
        source,
        status,
        reason,
        attempts,
        updated_at,
        CASE
            WHEN uri LIKE 'http%://%' THEN lower(split_part(split_part(split_part(uri, '/', 3), '@', -1), ':', 1))
            ELSE ''
        END AS host
    FROM items
    WHERE list_contains($sources, source)
      AND (status = 'failed' OR status = 'discovered' AND len($paused) > 0)
)
SELECT
    source,
    host,
    reason,
    count(*) FILTER (WHERE status = 'discovered' OR attempts < $attempts)      AS waiting,
    count(*) FILTER (WHERE status = 'failed' AND attempts >= $attempts)        AS given_up,
    min(CASE WHEN status = 'failed' THEN least(updated_at, $at) END)           AS since,
    min(
        CASE
            WHEN status <> 'failed' OR attempts >= $attempts THEN NULL
            WHEN updated_at > $at THEN $at
            ELSE updated_at + to_seconds(least($wait * pow(2, greatest(attempts - 1, 0)), 86400))
        END
    )                                                                          AS next_attempt
FROM unfinished
WHERE status = 'failed' OR list_contains($paused, host)
GROUP BY source, host, reason
ORDER BY source, waiting + given_up DESC, host, reason;
