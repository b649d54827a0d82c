-- The samples at the positions $first to before $last, in order, with all that their records contain.
-- The key is the item's id, with the suffix -r1, -r2... for a repeat. No nulls: a missing text is ''.
SELECT
    m.position,
    CASE WHEN m.repeat = 0 THEN m.item_id ELSE m.item_id || '-r' || m.repeat END AS key,
    m.item_id,
    m.repeat,
    coalesce(i.parent_id, '')       AS parent_id,
    m.source,
    m.category,
    coalesce(i.caption, '')         AS caption,
    coalesce(
        CAST(CAST(nullif(i.conversations, '') AS JSON) AS STRUCT(role VARCHAR, content VARCHAR)[]), []
    )                               AS conversations,
    coalesce(i.language, '')        AS language,
    coalesce(i.license, '')         AS license,
    i.uri,
    i.locator,
    CAST(coalesce(i.width, 0) AS BIGINT)  AS width,
    CAST(coalesce(i.height, 0) AS BIGINT) AS height,
    i.sha256,
    coalesce(i.original_sha256, '') AS original_sha256,
    -- the times of requests and the status of a response stay in the catalog: the same bytes, fetched again or
    -- unchanged since an earlier response (304), give the same record
    CASE
        WHEN json_exists(i.meta, '$.fetch.at') AND json_exists(i.meta, '$.opt_out.site_files_read_at')
            THEN CAST(
                json_merge_patch(
                    i.meta, '{"fetch":{"at":null,"status":null},"opt_out":{"site_files_read_at":null}}'
                ) AS VARCHAR
            )
        WHEN json_exists(i.meta, '$.fetch.at')
            THEN CAST(json_merge_patch(i.meta, '{"fetch":{"at":null,"status":null}}') AS VARCHAR)
        ELSE i.meta
    END                             AS meta,
    i.segment,
    i."offset",
    i."length",
    CAST(
        i."length" + coalesce(list_sum(list_transform(i.more_images, lambda m: m."length")), 0) AS BIGINT
    )                               AS bytes,
    coalesce(i.first_sha256, i.sha256) AS image_sha256,
    i.images,
    i.more_images,
    i.captions
FROM manifest AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE m.corpus = $corpus AND m.position >= $first AND m.position < $last AND i.status = 'ready'
ORDER BY m.position;
