-- The catalog's rows of the incoming items, found by ordinal: row groups of `items` hold few ordinals, so that
-- the join reads few row groups of a large catalog.
CREATE OR REPLACE TEMP TABLE present AS
SELECT items.item_id, items.source, items.ordinal, items.status, items.reason, items.segment
FROM incoming
INNER JOIN items
    ON items.item_id = incoming.item_id AND items.source = incoming.source AND items.ordinal = incoming.ordinal;
-- The other incoming items: new ones, and those that the catalog has under another ordinal.
CREATE OR REPLACE TEMP TABLE elsewhere AS
SELECT item_id, source FROM incoming ANTI JOIN present USING (item_id);
