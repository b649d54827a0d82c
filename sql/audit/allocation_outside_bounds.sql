-- name: allocation_outside_bounds
-- severity: error
-- meaning: A node of a category tree whose allocation is over its cap, or under its floor without a withdrawal,
--   or whose floor, cap and candidates contradict each other.
SELECT corpus, node, source, available, floor, cap, allocated, why
FROM allocations
WHERE NOT coalesce(
    floor >= 0 AND floor <= cap AND allocated >= 0 AND allocated <= cap
    AND (allocated >= floor OR why LIKE '% withdrawn'),
    FALSE
)
ORDER BY corpus, node, source
