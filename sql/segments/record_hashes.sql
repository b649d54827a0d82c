-- A batch of listed rows, each with the hash of what the listing holds of it. A NULL differs from ''.
SELECT listed.* REPLACE (
    left(md5(concat_ws(
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
)
FROM listed
ORDER BY ordinal;
