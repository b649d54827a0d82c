-- Items whose listed columns changed and whose content is unchanged, with their status and image. Texts that
-- come from reading an item ($texts_read: a sidecar's caption) are NULL in the listing and keep their values; the
-- options behind them are unchanged (see changes.sql).
-- The pages of a document get its category, license and texts.
WITH amended AS (
    SELECT items.* EXCLUDE (segment, kept) REPLACE (
        listed.category AS category,
        listed.license AS license,
        CASE WHEN kept THEN coalesce(listed.caption, items.caption) ELSE listed.caption END AS caption,
        CASE WHEN kept THEN coalesce(listed.captions, items.captions) ELSE listed.captions END AS captions,
        CASE WHEN kept THEN coalesce(listed.conversations, items.conversations) ELSE listed.conversations
        END AS conversations,
        CASE WHEN kept THEN coalesce(listed.language, items.language) ELSE listed.language END AS language,
        json_merge_patch(CAST(items.meta AS JSON), CAST(listed.meta AS JSON)) AS meta,
        listed.locator_state AS locator_state,
        listed.record_hash AS record_hash,
        listed.run AS run,
        listed.updated_at AS updated_at
    )
    FROM listed
    INNER JOIN changes ON changes.item_id = listed.item_id AND changes.change = 'amend'
    INNER JOIN (
        SELECT *, $texts_read AND options_hash <> '' AS kept FROM items WHERE source = $source
    ) AS items ON items.item_id = listed.item_id AND items.ordinal = changes.ordinal
)
SELECT * FROM amended
UNION ALL BY NAME
SELECT pages.* EXCLUDE (segment) REPLACE (
    amended.category AS category,
    amended.license AS license,
    amended.caption AS caption,
    amended.language AS language,
    amended.run AS run,
    amended.updated_at AS updated_at
)
FROM amended
INNER JOIN items AS pages
    ON pages.parent_id = amended.item_id
    AND pages.source = $source
    AND pages.document_sha256 IS NOT NULL
    AND pages.status <> 'withdrawn'
ORDER BY ordinal, item_id;
