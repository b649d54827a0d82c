-- The last runs, the newest first.
SELECT run, command, version, started_at, finished_at, state
FROM runs
ORDER BY started_at DESC, run
LIMIT 100;
