-- The segments that are merged, from lists of equal length.
CREATE OR REPLACE TEMP TABLE incoming_segments AS
SELECT
    unnest(CAST($file AS VARCHAR[]))         AS file,
    unnest(CAST($segment AS VARCHAR[]))      AS segment,
    unnest(CAST($source AS VARCHAR[]))       AS source,
    unnest(CAST($number AS INTEGER[]))       AS number,
    unnest(CAST($kind AS VARCHAR[]))         AS kind,
    unnest(CAST($run AS VARCHAR[]))          AS run,
    unnest(CAST($items AS BIGINT[]))         AS items,
    unnest(CAST($tar_bytes AS BIGINT[]))     AS tar_bytes,
    unnest(CAST($written_at AS TIMESTAMP[])) AS written_at
