-- What is worked out of `items` once, so that not every draw does. It holds for the state of `items` that
-- `noted` tells; for another it says nothing, and is worked out again.

CREATE TABLE duplicates (                -- items that have their bytes in common with others
    item_id   VARCHAR NOT NULL,
    category  VARCHAR NOT NULL,
    source    VARCHAR NOT NULL,
    status    VARCHAR NOT NULL,
    license   VARCHAR,
    sha256    VARCHAR NOT NULL           -- of those bytes
);

CREATE TABLE totals (                    -- how many items each stratum has, whatever their status
    category  VARCHAR NOT NULL,
    source    VARCHAR NOT NULL,
    items     BIGINT NOT NULL
);

CREATE TABLE noted (                     -- one row, or none
    segments  BIGINT NOT NULL,           -- that had been merged: every change of items is one more
    items     BIGINT NOT NULL            -- that there were
);
