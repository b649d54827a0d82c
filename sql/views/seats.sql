-- What each sample holds, in the order of its corpus (`position`); `manifest` spells the strata out, too.
CREATE OR REPLACE VIEW seats AS
SELECT n.sample, s.position, s.item_id, s.stratum, s.repeat
FROM numbered_seats AS s
LEFT JOIN numbered_samples AS n ON n.number = s.number;
