-- Adds the catalog's rows of items in `elsewhere`, found by id in the whole source. An item that was announced
-- again under another ordinal (by a listing after a segment was lost) is thereby replaced, and not stored twice.
INSERT INTO present
SELECT items.item_id, items.source, items.ordinal, items.status, items.reason, items.segment
FROM elsewhere
INNER JOIN items ON items.item_id = elsewhere.item_id AND items.source = elsewhere.source;
