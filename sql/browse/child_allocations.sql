-- A node of a manifest's category tree and its children: sub-categories and sources.
SELECT node, source, share, available, floor, cap, allocated, why
FROM allocations
WHERE corpus = $corpus AND (
    node = $node
    OR (source = '' AND node <> ''
        AND array_to_string(string_split(node, '/')[:-2], '/') = $node)
)
ORDER BY node, source;
