-- The candidates among the items whose bytes equal another item's. The conditions are those of
-- eligibility.sql and candidates.sql; the table avoids a scan of all items.
SELECT item_id, category, source, sha256, texts, captioned, pixels
FROM draw_dedup_items
WHERE status = 'ready'
  AND source NOT IN (SELECT source FROM draw_gone_sources)
  AND coalesce(license, '') NOT IN (SELECT license FROM draw_refused_licenses)
  AND item_id NOT IN (SELECT item_id FROM draw_excluded)
