-- name: corpus_not_rebuilt
-- severity: warn
-- meaning: A corpus whose manifest was drawn again after the build; `derlem build` writes the new one.
SELECT corpus, built_at, drawn_at
FROM corpora
WHERE state = 'outdated'
ORDER BY corpus
