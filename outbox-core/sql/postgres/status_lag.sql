-- What a subscription still owes: events above its position, and in the open ranges below it. Takes ACCESS SHARE on the
-- log and its segments; scans their primary keys from the position on, and once for each range.
SELECT count(*) AS events,
    coalesce(greatest(extract(epoch FROM clock_timestamp() - min(occurred_at) FILTER (WHERE isfinite(occurred_at))), 0), 0)::float8
    AS seconds
FROM (
    SELECT occurred_at FROM outbox_event WHERE position > $1
    UNION ALL
    SELECT event.occurred_at
    FROM unnest($2::bigint[], $3::bigint[]) AS hole (first, last)
    CROSS JOIN LATERAL (
        SELECT occurred_at FROM outbox_event WHERE position BETWEEN hole.first AND hole.last OFFSET 0
    ) event
) owed
