-- The hashes of what the listing holds of each row, in the order of the rows. A NULL differs from ''.
SELECT left(md5(concat_ws(
        chr(31),
        revision,
        category,
        coalesce(caption, chr(0)),
        coalesce(conversations, chr(0)),
        coalesce(language, chr(0)),
        coalesce(license, chr(0)),
        coalesce(parent_id, chr(0)),
        meta,
        locator_state
    )), 16) AS record_hash
FROM listed;
