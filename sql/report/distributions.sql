-- Histograms in one pass: name of the histogram, lower bound or label of the bin, samples and bytes.
-- Sides and bytes are in powers of two, aspects (width over height) in steps of half an octave.
WITH binned AS (
    SELECT
        CAST(1 << CAST(floor(log2(greatest(width, height, 1))) AS INTEGER) AS VARCHAR)        AS side,
        CAST(greatest(-6, least(6, round(2 * log2(width / nullif(height, 0))))) AS VARCHAR)     AS aspect,
        CAST(CAST(1 AS BIGINT) << CAST(floor(log2(greatest(bytes, 1))) AS INTEGER) AS VARCHAR)  AS size,
        CASE
            WHEN coalesce(caption, '') = '' THEN '0'
            ELSE CAST(1 << CAST(floor(log2(length(caption))) AS INTEGER) AS VARCHAR)
        END                                                                                   AS caption_length,
        coalesce(nullif(language, ''), '')                                                    AS language,
        coalesce(license, '')                                                                 AS license,
        bytes
    FROM report_samples
)
SELECT
    CASE
        WHEN grouping(side) = 0 THEN 'side'
        WHEN grouping(aspect) = 0 THEN 'aspect'
        WHEN grouping(size) = 0 THEN 'size'
        WHEN grouping(caption_length) = 0 THEN 'caption_length'
        WHEN grouping(language) = 0 THEN 'language'
        ELSE 'license'
    END                                                        AS histogram,
    coalesce(side, aspect, size, caption_length, language, license, '') AS bin,
    count(*)                                                   AS samples,
    CAST(coalesce(sum(bytes), 0) AS BIGINT)                    AS bytes
FROM binned
GROUP BY GROUPING SETS ((side), (aspect), (size), (caption_length), (language), (license))
ORDER BY histogram, samples DESC, bin
