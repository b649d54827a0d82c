-- The registry's entry of a source.
SELECT adapter, license, homepage, config, declared_at, withdrawn_at FROM sources WHERE source = $source;
