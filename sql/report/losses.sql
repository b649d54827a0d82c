-- Rejected, failed and withdrawn items by source and reason, with an example.
SELECT source, status, coalesce(reason, '') AS reason, CAST(sum(items) AS BIGINT) AS items,
       left(min(example), 300) AS example
FROM rejections
GROUP BY ALL
ORDER BY items DESC, source, status, reason
