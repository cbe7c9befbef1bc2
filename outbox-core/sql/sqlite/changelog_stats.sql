-- Counts the events above ?1. Takes no lock in WAL mode, else a shared one while it runs, which writers then wait for;
-- walks the primary key from the position on, for no index knows more than positions. Times are whole milliseconds.
SELECT operation, aggregate_type, topic, tenant_id, count(*) AS events,
    strftime('%Y-%m-%dT%H:%M:%fZ', min(julianday(occurred_at))) AS first_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', max(julianday(occurred_at))) AS last_at
FROM outbox_event
WHERE position > ?1 AND /* wanted */ true /* end */
GROUP BY operation, aggregate_type, topic, tenant_id;
