-- Makes one row of all rows of a group in `item_counts`.
CREATE OR REPLACE TEMP TABLE folded AS
SELECT
    source,
    status,
    reason,
    page,
    options_hash,
    revision,
    sum(items)        AS items,
    sum(bytes)        AS bytes,
    bit_xor(content)  AS content,
    max(last_ordinal) AS last_ordinal
FROM item_counts
GROUP BY ALL
HAVING sum(items) <> 0;
DELETE FROM item_counts;
INSERT INTO item_counts BY NAME FROM folded;
DROP TABLE folded;
