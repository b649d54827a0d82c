-- Whether a listed item that the catalog may have is not at its ordinal: another item has the same key.
SELECT 1 FROM changes WHERE change = 'new' AND ordinal IS NOT NULL LIMIT 1;
