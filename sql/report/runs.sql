-- The last runs, newest first.
FROM run_history ORDER BY started_at DESC, run LIMIT $limit
