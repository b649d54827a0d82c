-- Of each stratum: the seats that its sure contenders leave open, and how many contend for those.
SELECT
    q.stratum,
    q.seats - coalesce(c.sure, 0)                      AS open,
    coalesce(c.contenders, 0) - coalesce(c.sure, 0)    AS contenders
FROM sample_quotas AS q
LEFT JOIN (
    SELECT stratum, count(*) AS contenders, count(*) - count(key) AS sure
    FROM sample_contenders
    GROUP BY stratum
) AS c ON c.stratum = q.stratum
