-- Seats name their sample by a number: the names of five million seats were a fifth of what a draw writes. The
-- view `seats` spells them out.

CREATE TABLE numbered_samples (
    sample    VARCHAR NOT NULL,          -- its name
    number    INTEGER NOT NULL           -- of that name, from 1, for ever
);

CREATE TABLE numbered_seats (            -- what samples hold
    number    INTEGER NOT NULL,          -- of the sample
    position  BIGINT NOT NULL,           -- order of the corpus, from 0
    item_id   VARCHAR NOT NULL,
    stratum   INTEGER NOT NULL,          -- from which it was drawn; of the sample's allocations
    repeat    INTEGER NOT NULL           -- 0 for the first occurrence
);

INSERT INTO numbered_samples
SELECT sample, row_number() OVER (ORDER BY sample)
FROM (SELECT DISTINCT sample FROM seats) AS named;

INSERT INTO numbered_seats
SELECT n.number, s.position, s.item_id, s.stratum, s.repeat
FROM seats AS s
INNER JOIN numbered_samples AS n ON n.sample = s.sample
ORDER BY n.number, s.position;

DROP TABLE seats;
