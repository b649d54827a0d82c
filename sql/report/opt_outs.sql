-- Items with an opt-out by source and signal, and whether they were rejected or stored.
SELECT
    source,
    coalesce(json_extract_string(meta, '$.opt_outs[0]'), reason) AS signal,
    count(*)                                                    AS items,
    count(*) FILTER (WHERE status = 'rejected')                 AS rejected,
    count(*) FILTER (WHERE status = 'ready')                    AS stored
FROM items
WHERE meta LIKE '%"opt_outs"%' AND json_extract_string(meta, '$.opt_outs[0]') IS NOT NULL
   OR reason IN ('robots', 'x_robots_tag', 'tdm_reserved', 'aipref')
GROUP BY ALL
ORDER BY items DESC, source, signal
