-- The rows of the segments in `incoming_segments` that decide: one per item, its latest outcome.
-- A row that only announces an item (it was listed, or its document expanded) never replaces an outcome, but
-- for one that is gone, and of several announcements the first holds. So replaying segments, all or some, in
-- one merge or in many, ends in the same table.
-- An amended or re-queued item keeps the segment that holds its bytes, if that is among those read here
-- (`place`; else it is the one that the catalog knows, see placed.sql).
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
dated AS (
    SELECT
        *,
        max(CASE WHEN NOT announces THEN number END) OVER (PARTITION BY item_id) AS decided,
        max(CASE WHEN reason = 'gone' THEN number END) OVER (PARTITION BY item_id) AS gone,
        arg_max(segment, number) FILTER (WHERE kind IN ('ingest', 'refresh') AND status = 'ready') OVER (
            PARTITION BY item_id
        ) AS place
    FROM written
),
ranked AS (
    SELECT
        *,
        row_number() OVER (
            PARTITION BY item_id
            ORDER BY
                CASE
                    WHEN NOT announces THEN 1
                    WHEN decided = gone AND number > gone THEN 0
                    ELSE 2
                END,
                CASE WHEN announces THEN number ELSE -number END,
                ordinal,
                locator
        ) AS precedence
    FROM dated
)
SELECT * EXCLUDE (precedence, filename, decided, gone) REPLACE (
    CASE
        WHEN kind IN ('amend', 'relist') AND "offset" IS NOT NULL THEN coalesce(place, segment)
        ELSE segment
    END AS segment
)
FROM ranked
WHERE precedence = 1;
