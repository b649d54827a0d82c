-- The rows of the segments in `incoming_segments` that decide: one per item, the last word on it.
-- A row that only announces an item (it was listed, or its document expanded) never overrides one that
-- settled it, and of several announcements the first holds. So replaying segments, all or some, in one
-- go or in many, ends in the same table.
-- An amended picture stays where it lies: its row keeps the segment that holds its bytes, if that is among
-- those read here (`place`; else it is the one that the catalog knows, see placed.sql).
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
