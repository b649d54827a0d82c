-- Drops the temporary tables of a merge.
DROP VIEW counted;
DROP TABLE present;
DROP TABLE elsewhere;
DROP TABLE withdrawn_items;
DROP TABLE incoming;
DROP TABLE incoming_segments;
