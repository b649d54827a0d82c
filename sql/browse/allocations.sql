-- The allocation of some nodes of a manifest's category tree, with the rule that decided each number.
SELECT node, source, share, available, floor, cap, allocated, why
FROM allocations
WHERE corpus = $corpus AND list_contains($nodes, node)
ORDER BY len(string_split(node, '/')), node, source;
