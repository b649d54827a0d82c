-- Items that a run stored without all texts of their sidecar, by source.
SELECT source, count(*) AS items
FROM items
WHERE run = $run
  AND status = 'ready'
  AND json_extract_string(meta, '$.sidecar.reason') = $reason
GROUP BY ALL
ORDER BY ALL;
