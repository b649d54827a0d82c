-- Outcomes and stored bytes per day.
SELECT CAST(written_at AS DATE) AS day, CAST(sum(items) AS BIGINT) AS outcomes, CAST(sum(tar_bytes) AS BIGINT) AS bytes
FROM segments
WHERE kind IN ('ingest', 'refresh')
GROUP BY day
ORDER BY day
