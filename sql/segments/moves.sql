-- Status moves that the incoming rows would make, with how often and one item each.
-- An amendment (a new category or license by declaration) leaves the status as it is, and so does a refresh
-- (new bytes at the same address): no move. A new listing starts over with any item that is not withdrawn.
SELECT items.status AS old_status, incoming.status AS new_status, count(*) AS items, min(incoming.item_id)
FROM incoming
INNER JOIN items ON items.item_id = incoming.item_id
WHERE NOT incoming.announces
  AND NOT (incoming.kind IN ('amend', 'refresh') AND incoming.status = items.status)
  AND NOT (incoming.kind = 'relist' AND items.status <> 'withdrawn')
GROUP BY ALL;
