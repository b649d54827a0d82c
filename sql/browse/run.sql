-- A run that wrote an item.
SELECT command, version, started_at FROM runs WHERE run = $run;
