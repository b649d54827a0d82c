-- The valid row of each item in the segments of `incoming_segments`: the last outcome.
-- A row that only announces an item (from a listing, or from an expanded document) never overrides an outcome,
-- and the first of several announcements is valid. Replaying segments, all or some, in one merge or in many,
-- therefore gives the same table.
-- The image of an amended item stays in its segment: the row keeps the segment that holds the bytes, if that
-- segment is among those read here (`place`; otherwise the catalog has its name, see placed.sql).
CREATE OR REPLACE TEMP TABLE incoming AS
WITH written AS (
    SELECT
        r.*,
        s.segment,
        s.number,
        s.kind,
        s.kind = 'discover' OR (s.kind = 'ingest' AND r.status = 'discovered') AS announces
    FROM incoming_rows AS r
    INNER JOIN incoming_segments AS s ON r.filename = s.file
),
ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY item_id
            ORDER BY announces, CASE WHEN announces THEN number ELSE -number END, ordinal, locator
        ) AS precedence,
        arg_max(segment, number) FILTER (WHERE kind IN ('ingest', 'refresh') AND status = 'ready') OVER (
            PARTITION BY item_id
        ) AS place
    FROM written
)
SELECT * EXCLUDE (precedence, filename) REPLACE (
    CASE WHEN kind = 'amend' AND status = 'ready' THEN coalesce(place, segment) ELSE segment END AS segment
)
FROM ranked
WHERE precedence = 1;
