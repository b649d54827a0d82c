-- What each sample holds, in the order of its corpus (`position`), with the stratum that it was drawn from.
CREATE OR REPLACE VIEW manifest AS
SELECT s.sample, s.position, s.item_id, a.node AS category, a.source, s.repeat
FROM seats AS s
LEFT JOIN allocations AS a ON a.sample = s.sample AND a.stratum = s.stratum;
