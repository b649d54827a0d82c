-- Inserts the incoming rows.
INSERT INTO items BY NAME
SELECT * EXCLUDE (announces, number, kind, place) FROM incoming;
CREATE OR REPLACE TEMP VIEW counted AS FROM incoming;
