-- name: record_fields_differ
-- severity: error
-- meaning: A sample whose record has other texts, another origin, size or `meta` than the catalog had when the
--   shard was built. The scan gives hashes of these fields; a `uri` with a masked secret is not compared.
WITH held AS (
    SELECT
        f.corpus,
        f.shard,
        f.key,
        f.record_texts IS DISTINCT FROM left(md5(
            coalesce(i.caption, '') || chr(31)
            || coalesce(i.language, '') || chr(31)
            || coalesce(array_to_string(list_transform(
                CAST(CAST(nullif(i.conversations, '') AS JSON) AS STRUCT(role VARCHAR, content VARCHAR)[]),
                lambda turn: coalesce(turn.role, '') || chr(30) || coalesce(turn.content, '')
            ), chr(29)), '') || chr(31)
            || coalesce(array_to_string(i.captions, chr(29)), '')
        ), 16) AS texts,
        f.record_origin IS DISTINCT FROM left(md5(
            f.key || chr(31) || i.item_id || chr(31) || f.repeat || chr(31) || coalesce(i.parent_id, '') || chr(31)
            || i.locator || chr(31) || coalesce(i.original_sha256, '')
        ), 16)
        OR f.record_uri <> left(md5(i.uri), 16) AS origin,
        f.record_width IS DISTINCT FROM coalesce(i.width, 0)
        OR f.record_height IS DISTINCT FROM coalesce(i.height, 0) AS size,
        -- as in sql/corpus/rows.sql: the times of requests stay in the catalog
        f.record_meta IS DISTINCT FROM left(md5(CASE
            WHEN json_exists(i.meta, '$.fetch.at') AND json_exists(i.meta, '$.opt_out.site_files_read_at')
                THEN CAST(
                    json_merge_patch(
                        i.meta, '{"fetch":{"at":null,"status":null},"opt_out":{"site_files_read_at":null}}'
                    ) AS VARCHAR
                )
            WHEN json_exists(i.meta, '$.fetch.at')
                THEN CAST(json_merge_patch(i.meta, '{"fetch":{"at":null,"status":null}}') AS VARCHAR)
            ELSE i.meta
        END), 16) AS meta
    FROM shard_samples AS f
    INNER JOIN items AS i ON i.item_id = f.item_id
    LEFT JOIN shards AS s ON s.corpus = f.corpus AND s.shard = f.shard
    LEFT JOIN corpora AS c ON c.corpus = f.corpus
    WHERE f.record_sha256 IS NOT NULL
      AND i.status = 'ready'
      AND coalesce(c.state, '') <> 'released'
      AND NOT coalesce(i.updated_at > s.built_at, FALSE)
)
SELECT
    corpus,
    shard,
    key,
    concat_ws(
        '; ',
        CASE WHEN texts THEN 'caption, captions, conversations or language' END,
        CASE WHEN origin THEN 'key, id, repeat, parent_id, uri, locator or original_sha256' END,
        CASE WHEN size THEN 'width or height' END,
        CASE WHEN meta THEN 'meta' END
    ) AS fields
FROM held
WHERE texts OR origin OR size OR meta
ORDER BY corpus, shard, key
