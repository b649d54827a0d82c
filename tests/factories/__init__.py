"""Makes what several rooms' tests and the benchmarks need: rows, catalogs, segments, manifests."""
