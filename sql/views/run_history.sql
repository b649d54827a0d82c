-- Every run with the items that its segments list and store, the bytes that they store, and the rate. The table
-- `runs` has the versions and hashes; a run that still works is not yet in it.
CREATE OR REPLACE VIEW run_history AS
WITH written AS (
    SELECT
        run,
        CAST(coalesce(sum(items) FILTER (WHERE kind = 'discover'), 0) AS BIGINT)               AS listed,
        CAST(coalesce(sum(items) FILTER (WHERE kind IN ('ingest', 'refresh')), 0) AS BIGINT)   AS outcomes,
        CAST(sum(tar_bytes) AS BIGINT)                                                         AS stored_bytes,
        count(*)                                                                               AS segments
    FROM segments
    GROUP BY run
), timed AS (
    SELECT *, date_diff('millisecond', started_at, finished_at) / 1000.0 AS seconds
    FROM runs
)
SELECT
    r.run,
    r.command,
    r.state,
    r.host,
    r.started_at,
    r.finished_at,
    r.seconds,
    coalesce(w.listed, 0)                        AS listed,
    coalesce(w.outcomes, 0)                      AS outcomes,
    coalesce(w.stored_bytes, 0)                  AS stored_bytes,
    coalesce(w.segments, 0)                      AS segments,
    round(w.outcomes / nullif(r.seconds, 0), 1)  AS outcomes_per_second
FROM timed AS r
LEFT JOIN written AS w ON w.run = r.run
ORDER BY r.started_at, r.run;
