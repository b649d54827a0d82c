-- The catalog's tables. This is the one place that defines them; the columns of a segment's
-- Parquet file are those of `items` less `segment`, in this order.
-- The tables have no ART indexes, which cost more time than they save at ten million rows.

CREATE TABLE catalog_schema (
    version     INTEGER NOT NULL         -- the number of a file in this folder that has been applied
);

CREATE TABLE sources (
    source        VARCHAR NOT NULL,      -- its name in the configuration
    position      INTEGER NOT NULL,      -- order of declaration, from 0: the first source keeps a duplicate
    adapter       VARCHAR NOT NULL,
    license       VARCHAR NOT NULL,      -- SPDX expression
    homepage      VARCHAR,
    config        VARCHAR NOT NULL,      -- as declared, JSON
    config_hash   VARCHAR NOT NULL,
    declared_at   TIMESTAMP NOT NULL,
    withdrawn_at  TIMESTAMP,             -- time of removal from the configuration, or of withdrawal
    listed_hash   VARCHAR                -- config_hash of the last complete listing; NULL for none
);

CREATE TABLE items (
    item_id          VARCHAR NOT NULL,   -- 32 hex digits, see catalog/models.py
    source           VARCHAR NOT NULL,
    uri              VARCHAR NOT NULL,   -- relative to the source's root, or a URL
    locator          VARCHAR NOT NULL,   -- member, row, page; '' if the uri identifies the item
    parent_id        VARCHAR,            -- the document of a page
    document_sha256  VARCHAR,            -- of a page: sha256 of its document in the cache; NULL for all other items
    ordinal          BIGINT NOT NULL,    -- order of discovery within the source
    partition_key    VARCHAR NOT NULL,   -- group that one worker reads in one pass (an archive, a host); '' for none
    category         VARCHAR NOT NULL,   -- 'a/b/c', NFC; '' is the root
    media_type       VARCHAR,            -- of the normalized bytes once ready, else as sniffed or declared
    status           VARCHAR NOT NULL,
    reason           VARCHAR,
    detail           VARCHAR,            -- message for users; not a key
    attempts         INTEGER NOT NULL,
    images           INTEGER NOT NULL,   -- images of the record; the image columns below describe the first
    sha256           VARCHAR,            -- of the normalized bytes; of several images, see `images_sha256` in models.py
    first_sha256     VARCHAR,            -- of the first image's normalized bytes; NULL unless there are several images
    original_sha256  VARCHAR,            -- of the bytes as the source holds them
    dhash            VARCHAR,            -- 16 hex digits: 64-bit difference hash
    width            INTEGER,            -- pixels, after normalization
    height           INTEGER,
    bytes            BIGINT,             -- of the normalized image once ready, else as declared by the source
    "offset"         BIGINT,             -- first byte of the image in its segment's tar
    "length"         BIGINT,             -- bytes of the image in its segment's tar
    more_images      STRUCT(             -- the images after the first, in order; NULL for a single image
        media_type VARCHAR, sha256 VARCHAR, original_sha256 VARCHAR, dhash VARCHAR, width INTEGER, height INTEGER,
        bytes BIGINT, "offset" BIGINT, "length" BIGINT
    )[],
    caption          VARCHAR,            -- the first, if there are several
    captions         VARCHAR[],          -- all captions; NULL unless there are several
    conversations    VARCHAR,            -- JSON: [{"role": ..., "content": ...}, ...]
    language         VARCHAR,            -- BCP 47, of the caption
    license          VARCHAR,            -- SPDX; the source's, unless the item has its own
    meta             VARCHAR NOT NULL,   -- JSON object
    locator_state    VARCHAR NOT NULL,   -- JSON object: the adapter's data for reading the item again
    revision         VARCHAR NOT NULL,   -- of the item's listed content: its file, member or row, and sidecars
    record_hash      VARCHAR NOT NULL,   -- of all listed columns, 16 hex digits; '' for a page
    image_revision   VARCHAR,            -- the `revision` of the stored image; NULL without an image
    options_hash     VARCHAR NOT NULL,   -- of the options that decided the outcome, see pipeline/option_hashes.py
    run              VARCHAR NOT NULL,   -- the run that wrote this row last
    discovered_at    TIMESTAMP NOT NULL,
    updated_at       TIMESTAMP NOT NULL,
    segment          VARCHAR NOT NULL    -- 'source/000042': segment of the image's bytes, else of the last row
);

-- Counts of `items` by source and outcome, which every merge of segments keeps up to date, so that progress,
-- provenance and a run with nothing to do read no items. The audit counts_differ_from_items checks them.
CREATE TABLE item_counts (
    source        VARCHAR NOT NULL,
    status        VARCHAR NOT NULL,
    reason        VARCHAR NOT NULL,      -- '' for none
    page          BOOLEAN NOT NULL,      -- pages of documents
    options_hash  VARCHAR NOT NULL,
    revision      VARCHAR NOT NULL,      -- commit of a hosted dataset; '' for none
    items         BIGINT NOT NULL,
    bytes         BIGINT NOT NULL,       -- of ready items
    content       UHUGEINT NOT NULL,     -- of ready items: the exclusive or of md5 over each sha256
    last_ordinal  BIGINT NOT NULL        -- an upper bound of the group's ordinals
);

CREATE TABLE withdrawn_hashes (          -- hashes of withdrawn items: copies are withdrawn on arrival
    sha256      VARCHAR NOT NULL         -- of the normalized or original bytes of a withdrawn item
);

CREATE TABLE runs (
    run           VARCHAR NOT NULL,
    command       VARCHAR NOT NULL,
    version       VARCHAR NOT NULL,      -- of derlem
    config_hash   VARCHAR NOT NULL,
    host          VARCHAR NOT NULL,
    started_at    TIMESTAMP NOT NULL,
    finished_at   TIMESTAMP,
    state         VARCHAR NOT NULL,      -- running, done, failed, interrupted
    stage         VARCHAR NOT NULL,      -- the last stage that began; '' for none
    error         VARCHAR                -- the error that ended a failed run
);

CREATE TABLE segments (
    segment     VARCHAR NOT NULL,        -- 'source/000042'
    source      VARCHAR NOT NULL,
    number      INTEGER NOT NULL,
    kind        VARCHAR NOT NULL,        -- discover, ingest, amend, refresh, retry, withdraw
    run         VARCHAR NOT NULL,
    items       BIGINT NOT NULL,         -- rows
    tar_bytes   BIGINT NOT NULL,         -- 0: no tar
    written_at  TIMESTAMP NOT NULL
);

CREATE TABLE manifests (                 -- one row per drawn manifest
    corpus       VARCHAR NOT NULL,       -- name of the corpus that is built from it
    number       INTEGER NOT NULL,       -- key of its rows, from 1; a redraw keeps it
    seed         BIGINT NOT NULL,
    target       BIGINT NOT NULL,        -- as configured
    selected     BIGINT NOT NULL,        -- rows
    config       VARCHAR NOT NULL,       -- as configured, JSON
    fingerprint  VARCHAR NOT NULL,       -- sha256 over seed, config and the ordered selection
    run          VARCHAR NOT NULL,
    drawn_at     TIMESTAMP NOT NULL,
    released_at  TIMESTAMP               -- time of `derlem release`; NULL: not released
);

-- The rows name their manifest and stratum by number: with names, a draw of five million rows writes a fifth
-- more. The view `manifest` adds the names.
CREATE TABLE manifest_rows (
    manifest  INTEGER NOT NULL,          -- manifests.number
    position  BIGINT NOT NULL,           -- order of the corpus, from 0
    item_id   VARCHAR NOT NULL,
    stratum   INTEGER NOT NULL,          -- allocations.stratum: where the item was drawn from
    repeat    INTEGER NOT NULL           -- 0 for the first occurrence
);

CREATE TABLE allocations (               -- one row per node of a manifest's category tree
    corpus      VARCHAR NOT NULL,
    node        VARCHAR NOT NULL,        -- category path; '' is the root
    source      VARCHAR NOT NULL,        -- '' for the category itself, else the stratum (node, source)
    available   BIGINT NOT NULL,
    floor       BIGINT NOT NULL,
    cap         BIGINT NOT NULL,
    share       VARCHAR,                 -- as declared
    allocated   BIGINT NOT NULL,
    why         VARCHAR NOT NULL,        -- the rule that decided the number
    stratum     INTEGER                  -- number of the stratum in its manifest; NULL for a category
);

CREATE TABLE exclusions (                -- numbers of items that are not candidates, by stratum and reason
    corpus    VARCHAR NOT NULL,
    category  VARCHAR NOT NULL,
    source    VARCHAR NOT NULL,
    reason    VARCHAR NOT NULL,          -- the rule that excludes the items, or their status
    items     BIGINT NOT NULL
);

CREATE TABLE shards (
    corpus     VARCHAR NOT NULL,
    shard      INTEGER NOT NULL,         -- number, from 0, without gaps
    path       VARCHAR NOT NULL,         -- relative to the workspace
    first      BIGINT NOT NULL,          -- manifest positions in the shard: first <= position < last
    last       BIGINT NOT NULL,
    samples    BIGINT NOT NULL,          -- fewer than last - first after a withdrawal
    bytes      BIGINT NOT NULL,
    sha256     VARCHAR NOT NULL,
    built_at   TIMESTAMP NOT NULL,
    manifest_fingerprint VARCHAR NOT NULL -- of the manifest that the shard was last built from
);

CREATE TABLE corpus_files (              -- the files of a corpus beside its shards
    corpus     VARCHAR NOT NULL,
    path       VARCHAR NOT NULL,         -- relative to the workspace
    bytes      BIGINT NOT NULL,
    sha256     VARCHAR NOT NULL
);

-- The deduplication index is derived from `items` and saves each draw a scan of all hashes. The index is valid
-- for the state of `items` in `dedup_index`, and is computed again for any other state.

CREATE TABLE dedup_items (               -- items whose bytes equal another item's
    item_id   VARCHAR NOT NULL,
    category  VARCHAR NOT NULL,
    source    VARCHAR NOT NULL,
    status    VARCHAR NOT NULL,
    license   VARCHAR,
    sha256    VARCHAR NOT NULL,          -- of the shared bytes
    texts     VARCHAR NOT NULL,          -- md5 of captions and conversations
    captioned BOOLEAN NOT NULL,          -- whether there is a caption or a conversation
    pixels    BIGINT NOT NULL            -- of the first image
);

CREATE TABLE stratum_sizes (             -- items per stratum, whatever their status
    category  VARCHAR NOT NULL,
    source    VARCHAR NOT NULL,
    items     BIGINT NOT NULL
);

CREATE TABLE dedup_index (               -- one row, or none
    segments  BIGINT NOT NULL,           -- merged segments: each change of items adds one
    items     BIGINT NOT NULL            -- rows of items
);
