-- The renderers of each source's stored pages.
SELECT source, split_part(json_extract_string(meta, '$.pdf.renderer'), ' ', 1) AS renderer, count(*) AS pages
FROM items
WHERE status = 'ready'
  AND document_sha256 IS NOT NULL
  AND json_extract_string(meta, '$.pdf.method') = 'rendered'
GROUP BY ALL
ORDER BY ALL;
