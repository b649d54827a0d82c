-- Reduces allocations by `withdrawn_samples`, in the stratum and every category above, and records why.
UPDATE allocations
SET allocated = allocated - gone.samples,
    why = why || '; ' || gone.samples || ' withdrawn'
FROM (
    SELECT a.corpus, a.node, a.source, CAST(sum(w.samples) AS BIGINT) AS samples
    FROM allocations AS a
    INNER JOIN withdrawn_samples AS w
        ON w.corpus = a.corpus
        AND CASE
            WHEN a.source <> '' THEN a.node = w.category AND a.source = w.source
            ELSE a.node = '' OR a.node = w.category OR starts_with(w.category, a.node || '/')
        END
    GROUP BY a.corpus, a.node, a.source
) AS gone
WHERE allocations.corpus = gone.corpus
  AND allocations.node = gone.node
  AND allocations.source = gone.source;
