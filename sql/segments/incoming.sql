-- The valid row of each item in the segments of `incoming_segments`: the last outcome.
-- A row that only announces an item (from a listing, or from an expanded document) overrides no outcome except
-- `gone`, and the first of several announcements is valid. Replaying segments, all or some, in one merge or in
-- many, therefore gives the same table.
-- The image of an amended or re-queued item stays in its segment: the row keeps the segment that holds the
-- bytes, if that segment is among those read here (`place`; otherwise the catalog has its name, see placed.sql).
-- The query first selects rows by few columns, because sorting all columns of many rows is slow.
CREATE OR REPLACE TEMP TABLE incoming AS
WITH written AS (
    SELECT
        r.item_id,
        r.ordinal,
        r.locator,
        r.reason,
        r.filename,
        r.file_row_number,
        s.segment,
        s.number,
        s.kind,
        s.kind = 'discover' OR (s.kind = 'ingest' AND r.status = 'discovered') AS announces,
        s.kind IN ('ingest', 'refresh') AND r.status = 'ready' AS holds_bytes
    FROM incoming_rows AS r
    INNER JOIN incoming_segments AS s ON r.filename = s.file
),
dated AS (
    SELECT
        item_id,
        max(number) FILTER (WHERE NOT announces)           AS decided,
        max(number) FILTER (WHERE reason = 'gone')         AS gone,
        arg_max(segment, number) FILTER (WHERE holds_bytes) AS place
    FROM written
    GROUP BY item_id
),
valid AS (
    SELECT
        arg_min(
            struct_pack(
                filename := filename,
                file_row_number := file_row_number,
                segment := segment,
                number := number,
                kind := kind,
                announces := announces,
                place := place
            ),
            row(
                CASE WHEN NOT announces THEN 1 WHEN decided = gone AND number > gone THEN 0 ELSE 2 END,
                CASE WHEN announces THEN number ELSE -number END,
                ordinal,
                locator
            )
        ) AS chosen
    FROM written
    INNER JOIN dated ON dated.item_id = written.item_id
    GROUP BY written.item_id
)
SELECT
    r.* EXCLUDE (filename, file_row_number),
    CASE
        WHEN chosen.kind IN ('amend', 'relist') AND r."offset" IS NOT NULL
            THEN coalesce(chosen.place, chosen.segment)
        ELSE chosen.segment
    END              AS segment,
    chosen.number    AS number,
    chosen.kind      AS kind,
    chosen.announces AS announces,
    chosen.place     AS place
FROM incoming_rows AS r
INNER JOIN valid ON chosen.filename = r.filename AND chosen.file_row_number = r.file_row_number;
