-- What each sample holds, in the order of its corpus (`position`), with the stratum that it was drawn from.
CREATE OR REPLACE VIEW manifest AS
SELECT n.sample, s.position, s.item_id, a.node AS category, a.source, s.repeat
FROM numbered_seats AS s
LEFT JOIN numbered_samples AS n ON n.number = s.number
LEFT JOIN allocations AS a ON a.sample = n.sample AND a.stratum = s.stratum;
