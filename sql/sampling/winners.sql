-- Contenders that won an open seat, where they were ranked inside the database.
SELECT c.item_id, c.repeat, c.stratum, c.order_prefix
FROM sample_contenders AS c
JOIN sample_winners AS w ON w.row = c.item_id AND w.repeat = c.repeat
WHERE c.key IS NOT NULL
