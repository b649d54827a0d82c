-- The nodes of a manifest's category tree with what was asked for, from the views quota_report and quota_gaps: all
-- categories to depth 2, and every node with a declared share or a gap.
SELECT
    q.node, q.source, q.share, q.available, q.floor, q.cap, q.allocated, q.selected,
    coalesce(g.wanted, q.allocated) AS wanted,
    coalesce(g.gap, 0)              AS gap,
    coalesce(g.why, q.why)          AS why
FROM quota_report AS q
LEFT JOIN quota_gaps AS g ON g.corpus = q.corpus AND g.node = q.node AND g.source = q.source
WHERE q.corpus = $corpus
  AND (q.source = '' AND length(q.node) - length(replace(q.node, '/', '')) < 2 OR q.share IS NOT NULL OR g.gap <> 0)
ORDER BY abs(coalesce(g.gap, 0)) DESC, q.selected DESC, q.node, q.source
