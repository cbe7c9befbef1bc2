-- Counts the events above a position. Takes ACCESS SHARE on the log and its segments while it runs, for which no writer
-- waits and no segment is emptied meanwhile; reads the log from the position on, for no index knows more than positions.
SELECT operation, aggregate_type, topic, tenant_id, count(*) AS events,
    -- times that no calendar of a reader reaches are counted and not told
    (extract(epoch FROM min(occurred_at) FILTER (WHERE occurred_at > '-infinity' AND occurred_at < '10000-01-01Z')) * 1000000)::bigint
        AS first_micros,
    (extract(epoch FROM max(occurred_at) FILTER (WHERE occurred_at > '-infinity' AND occurred_at < '10000-01-01Z')) * 1000000)::bigint
        AS last_micros
FROM outbox_event
WHERE position > $1 AND /* wanted */ true /* end */
GROUP BY operation, aggregate_type, topic, tenant_id
