-- Inserts a drawn manifest.
INSERT INTO manifests (corpus, number, seed, target, selected, config, fingerprint, run, drawn_at)
VALUES ($corpus, $number, $seed, $target, $selected, $config, $fingerprint, $run, $drawn_at)
