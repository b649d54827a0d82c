-- Status changes that the incoming rows would make, each with its number of items and an example.
-- An amendment (a new category or license by declaration) and a refresh (new bytes at the same address) do not
-- change the status. A new listing may re-queue any item that is not withdrawn.
SELECT present.status AS old_status, incoming.status AS new_status, count(*) AS items, min(incoming.item_id)
FROM incoming
INNER JOIN present ON present.item_id = incoming.item_id
WHERE NOT incoming.announces
  AND NOT (incoming.kind IN ('amend', 'refresh') AND incoming.status = present.status)
  AND NOT (incoming.kind = 'relist' AND present.status <> 'withdrawn')
GROUP BY ALL;
