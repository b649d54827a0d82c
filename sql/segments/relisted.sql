-- Changed items as re-queued rows with the listed columns: no text of an earlier reading stays. A stored image
-- keeps its place if the limits and the form of images are unchanged ($stored), so that unchanged bytes are not
-- stored again.
SELECT listed.* REPLACE (
    items.ordinal AS ordinal,
    items.discovered_at AS discovered_at,
    CASE WHEN items.options_hash <> '' THEN $texts || substr(items.options_hash, 9) ELSE '' END AS options_hash,
    CASE WHEN kept THEN items.media_type ELSE listed.media_type END AS media_type,
    CASE WHEN kept THEN items.sha256 END AS sha256,
    CASE WHEN kept THEN items.first_sha256 END AS first_sha256,
    CASE WHEN kept THEN items.original_sha256 END AS original_sha256,
    CASE WHEN kept THEN items.dhash END AS dhash,
    CASE WHEN kept THEN items.width END AS width,
    CASE WHEN kept THEN items.height END AS height,
    CASE WHEN kept THEN items.bytes ELSE listed.bytes END AS bytes,
    CASE WHEN kept THEN items."offset" END AS "offset",
    CASE WHEN kept THEN items."length" END AS "length",
    CASE WHEN kept THEN items.more_images END AS more_images,
    CASE
        WHEN kept
            THEN json_merge_patch(CAST(items.meta AS JSON), '{"sidecar": null}', CAST(listed.meta AS JSON))
        ELSE listed.meta
    END AS meta,
    CASE WHEN kept THEN items.image_revision END AS image_revision
)
FROM listed
INNER JOIN changes ON changes.item_id = listed.item_id AND changes.change IN ('relist', 'reread')
INNER JOIN (
    SELECT *, "offset" IS NOT NULL AND right(options_hash, 16) = $stored AS kept FROM items WHERE source = $source
) AS items ON items.item_id = listed.item_id AND items.ordinal = changes.ordinal
ORDER BY items.ordinal;
