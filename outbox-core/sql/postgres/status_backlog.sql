-- What a subscription still owes, at a bounded cost: of the events above its position the first 10,000 are counted, and the
-- positions beyond them; and as many of those in the open ranges below it. Takes ACCESS SHARE on the log and its segments;
-- scans the primary key of each segment in order and merges them, and once for each range.
WITH above AS MATERIALIZED (
    SELECT position, occurred_at FROM outbox_event WHERE position > $1 ORDER BY position LIMIT 10000
), below AS MATERIALIZED (
    SELECT event.occurred_at
    FROM unnest($2::bigint[], $3::bigint[]) AS hole (first, last)
    CROSS JOIN LATERAL (
        SELECT occurred_at FROM outbox_event WHERE position BETWEEN hole.first AND hole.last ORDER BY position LIMIT 10000
    ) event
    LIMIT 10000
)
SELECT (SELECT count(*) FROM above) + (SELECT count(*) FROM below)
    + CASE WHEN (SELECT count(*) FROM above) < 10000 THEN 0
        ELSE (SELECT max(position) FROM outbox_event) - (SELECT max(position) FROM above) END AS events,
    (SELECT coalesce(greatest(extract(epoch FROM clock_timestamp() - min(occurred_at) FILTER (WHERE isfinite(occurred_at))), 0), 0)
        FROM (SELECT occurred_at FROM above UNION ALL SELECT occurred_at FROM below) AS owed)::float8 AS seconds
