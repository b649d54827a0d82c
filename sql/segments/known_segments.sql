-- The given segments ($names) that are merged.
SELECT segment FROM segments WHERE segment IN (SELECT unnest(CAST($names AS VARCHAR[])));
