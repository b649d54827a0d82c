-- Removes the rows that incoming rows replace, and the announcements of items that the catalog has: an
-- announcement replaces only the row of a gone item.
DELETE FROM incoming
USING present
WHERE incoming.item_id = present.item_id AND incoming.announces AND present.reason IS DISTINCT FROM 'gone';
DELETE FROM present WHERE item_id NOT IN (SELECT item_id FROM incoming);
CREATE OR REPLACE TEMP VIEW counted AS FROM present;
