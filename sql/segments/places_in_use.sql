-- Of the given places, those that hold a present image of a ready item.
SELECT DISTINCT i.segment, i."offset"
FROM item_images AS i
INNER JOIN (SELECT unnest($segments) AS segment, unnest($offsets) AS "offset") AS p
    ON p.segment = i.segment AND p."offset" = i."offset"
WHERE i.status = 'ready';
