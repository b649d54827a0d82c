-- name: listed_under_other_declaration
-- severity: warn
-- meaning: A source whose declaration changed after its last complete listing: its items may have the former category, license and texts. `derlem discover` lists it.
SELECT source, declared_at
FROM sources
WHERE withdrawn_at IS NULL AND listed_hash IS DISTINCT FROM config_hash
ORDER BY source
