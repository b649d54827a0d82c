-- The items that the incoming rows withdraw, with their hashes.
CREATE OR REPLACE TEMP TABLE withdrawn_items AS
SELECT item_id, sha256, original_sha256 FROM incoming WHERE status = 'withdrawn';
