-- The allocation of a drawn sample, one row per node of its tree.
INSERT INTO allocations (corpus, node, source, available, floor, cap, share, allocated, why, stratum)
SELECT $corpus, category, source, available, floor, cap, share, allocated, why, stratum
FROM sample_nodes
