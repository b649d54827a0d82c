-- The hash of the options that decide each outcome, from lists of equal length.
CREATE OR REPLACE TEMP TABLE expected AS
SELECT
    unnest(CAST($statuses AS VARCHAR[])) AS status,
    unnest(CAST($reasons AS VARCHAR[]))  AS reason,
    unnest(CAST($pages AS BOOLEAN[]))    AS page,
    unnest(CAST($hashes AS VARCHAR[]))   AS options_hash;
