-- The first ids of the largest categories (two levels), at random and fixed by the seed: see `rank` in samples.sql.
SELECT
    array_to_string(string_split(category, '/')[1:2], '/') AS sheet,
    count(*)                                              AS samples,
    min_by(item_id, rank, $images)                        AS ids
FROM report_samples
GROUP BY sheet
ORDER BY samples DESC, sheet
