-- What a subscription still owes, at a bounded cost: of the events above its position the first 10,000 are counted, and the
-- positions beyond them; of those in the open ranges below it as many, or else the positions. Takes ACCESS SHARE on the log
-- and its segments; scans the primary key of each segment in order and merges them, and once for each range.
WITH above AS MATERIALIZED (
    SELECT position, occurred_at FROM outbox_event WHERE position > $1 ORDER BY position LIMIT 10000
), hole AS MATERIALIZED (
    SELECT first, last FROM unnest($2::bigint[], $3::bigint[]) AS hole (first, last)
), below AS MATERIALIZED (
    SELECT event.occurred_at
    FROM hole
    CROSS JOIN LATERAL (
        SELECT occurred_at FROM outbox_event WHERE position BETWEEN hole.first AND hole.last ORDER BY position LIMIT 10000
    ) event
    LIMIT 10000
)
SELECT (SELECT count(*) FROM above)
    + CASE WHEN (SELECT count(*) FROM above) < 10000 THEN 0
        ELSE (SELECT max(position) FROM outbox_event) - (SELECT max(position) FROM above) END
    + CASE WHEN (SELECT count(*) FROM below) < 10000 THEN (SELECT count(*) FROM below)
        ELSE (SELECT sum(last - first + 1) FROM hole)::bigint END AS events,
    (SELECT coalesce(greatest(extract(epoch FROM clock_timestamp() - min(occurred_at) FILTER (WHERE isfinite(occurred_at))), 0), 0)
        FROM (SELECT occurred_at FROM above UNION ALL SELECT occurred_at FROM below) AS owed)::float8 AS seconds
