-- Items whose listed columns changed and whose content is unchanged, with their status and image. Texts that
-- come from reading an item ($texts_read: a sidecar's caption) are NULL in the listing and keep their values.
-- The pages of a document get its category, license and language.
SELECT items.* EXCLUDE (segment) REPLACE (
    listed.category AS category,
    listed.license AS license,
    CASE WHEN $texts_read THEN coalesce(listed.caption, items.caption) ELSE listed.caption END AS caption,
    CASE WHEN $texts_read THEN coalesce(listed.conversations, items.conversations) ELSE listed.conversations
    END AS conversations,
    CASE WHEN $texts_read THEN coalesce(listed.language, items.language) ELSE listed.language END AS language,
    json_merge_patch(CAST(items.meta AS JSON), CAST(listed.meta AS JSON)) AS meta,
    listed.locator_state AS locator_state,
    listed.record_hash AS record_hash,
    listed.run AS run,
    listed.updated_at AS updated_at
)
FROM listed
INNER JOIN changes ON changes.item_id = listed.item_id AND changes.change = 'amend'
INNER JOIN items
    ON items.item_id = listed.item_id AND items.ordinal = changes.ordinal AND items.source = $source
UNION ALL BY NAME
SELECT pages.* EXCLUDE (segment) REPLACE (
    listed.category AS category,
    listed.license AS license,
    listed.caption AS caption,
    listed.language AS language,
    listed.run AS run,
    listed.updated_at AS updated_at
)
FROM listed
INNER JOIN changes ON changes.item_id = listed.item_id AND changes.change = 'amend'
INNER JOIN items AS pages
    ON pages.parent_id = listed.item_id
    AND pages.source = $source
    AND pages.document_sha256 IS NOT NULL
    AND pages.status <> 'withdrawn'
ORDER BY ordinal, item_id;
