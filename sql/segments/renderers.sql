-- By which renderers the pages of each source were drawn so far.
SELECT source, json_extract_string(meta, '$.pdf.renderer') AS renderer, count(*) AS pages
FROM items
WHERE status = 'ready'
  AND parent_id IS NOT NULL
  AND json_extract_string(hint, '$.document') IS NOT NULL
  AND json_extract_string(meta, '$.pdf.method') = 'rendered'
GROUP BY ALL
ORDER BY ALL;
