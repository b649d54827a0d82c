-- Samples without the seats whose items were withdrawn. Positions keep their gaps.
DELETE FROM numbered_seats
WHERE item_id IN (SELECT item_id FROM items WHERE status = 'withdrawn');
