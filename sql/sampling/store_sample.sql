-- A drawn sample, as a row of its table.
INSERT INTO samples (sample, seed, target, selected, config, fingerprint, run, drawn_at)
VALUES ($sample, $seed, $target, $selected, $config, $fingerprint, $run, $drawn_at)
