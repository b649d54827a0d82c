-- Adds ($sign = 1) or subtracts ($sign = -1) the rows of `items` that are listed in `counted`.
INSERT INTO item_counts BY NAME
SELECT
    items.source,
    items.status,
    coalesce(items.reason, '')           AS reason,
    items.document_sha256 IS NOT NULL    AS page,
    items.options_hash,
    CASE
        WHEN items.locator_state LIKE '%"commit"%'
            THEN coalesce(json_extract_string(items.locator_state, '$.commit'), '')
        ELSE ''
    END                                  AS revision,
    $sign * count(*)                     AS items,
    $sign * coalesce(sum(items.bytes) FILTER (WHERE items.status = 'ready'), 0) AS bytes,
    coalesce(bit_xor(md5_number(items.sha256)) FILTER (WHERE items.status = 'ready'), CAST(0 AS UHUGEINT)) AS content,
    max(items.ordinal)                   AS last_ordinal
FROM counted
INNER JOIN items
    ON items.item_id = counted.item_id AND items.source = counted.source AND items.ordinal = counted.ordinal
GROUP BY ALL;
