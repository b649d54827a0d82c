-- What a report describes: the samples of the corpus `report_corpus`, or all ready items where it is NULL. `rank`
-- orders them at random: by the position in the manifest, which its seed fixed, or by the id, which is a hash.
CREATE OR REPLACE TEMP VIEW report_samples AS
SELECT
    m.item_id, m.category, m.source, lpad(CAST(m.position AS VARCHAR), 20, '0') AS rank,
    i.width, i.height, i."length" AS bytes, i.caption, i.conversations, i.language, i.license
FROM manifest AS m
INNER JOIN items AS i ON i.item_id = m.item_id
WHERE getvariable('report_corpus') IS NOT NULL AND m.corpus = getvariable('report_corpus') AND i.status = 'ready'
UNION ALL
SELECT
    item_id, category, source, item_id, width, height, "length", caption, conversations, language, license
FROM items
WHERE getvariable('report_corpus') IS NULL AND status = 'ready'
