-- Every seat that could be filled: a candidate, and which time it is taken.
-- Rank keys are uniform, so a stratum that takes 30 % takes nearly every key under 30 % and hardly one
-- above. `low` and `high` bracket its last key with room to spare: below `low` a row is in for sure and
-- its key no longer matters (NULL); above `high` it is out. Only what lies between has to be ranked.
-- `order_prefix` is the row's place in the order of the corpus.
-- Where items are repeated (`copies` over 1) the bracket is open and all rounds are ranked.
-- The bounds are a join condition so that the key is computed once: as a filter, it would be twice. For
-- the same reason the keys are written out for each branch: a shared CTE would be stored in full.
SELECT
    k.item_id,
    0 AS repeat,
    q.stratum,
    CASE WHEN k.key >= q.low THEN k.key END AS key,
    substr(md5(CAST($seed AS VARCHAR) || ':order:' || k.item_id), 1, 8) AS order_prefix
FROM (
    SELECT item_id, category, source, md5(CAST($seed AS VARCHAR) || ':' || item_id) AS key
    FROM sample_open
) AS k
JOIN sample_quotas AS q ON q.category = k.category AND q.source = k.source AND k.key <= q.high
WHERE q.copies = 1
UNION ALL
SELECT
    k.item_id,
    r.repeat,
    q.stratum,
    md5(CAST($seed AS VARCHAR) || ':' || k.item_id) AS key,
    substr(md5(CAST($seed AS VARCHAR) || ':order:' || k.item_id), 1, 8) AS order_prefix
FROM sample_candidates AS k
JOIN sample_quotas AS q ON q.category = k.category AND q.source = k.source
JOIN sample_rounds AS r ON r.repeat < q.copies
LEFT JOIN sample_kept AS e ON e.item_id = k.item_id AND e.repeat = r.repeat
WHERE q.copies > 1
  AND e.item_id IS NULL
