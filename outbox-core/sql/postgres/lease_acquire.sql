-- Takes a lease that is free, expired or the relay's own; otherwise says whose it is. A new lease has a higher epoch than
-- any before, the checkpoint's among them. Takes ROW EXCLUSIVE on outbox_relay and outbox_lease and locks one row of
-- each, found by their primary keys.
WITH me AS (
    INSERT INTO outbox_relay AS stored (relay_id, relay_name, host, process_id, process_started, state)
    VALUES ($2, $4, $5, $6, $7, 'running')
    ON CONFLICT (relay_id) DO UPDATE SET seen_at = clock_timestamp()
), held AS (
    INSERT INTO outbox_lease AS stored (subscription, partition_id, relay_id, epoch, expires_at)
    VALUES ($1, 0, $2,
        1 + coalesce((SELECT epoch FROM outbox_checkpoint WHERE subscription = $1 AND partition_id = 0), 0),
        clock_timestamp() + $3 * interval '1 second')
    ON CONFLICT (subscription, partition_id) DO UPDATE
    SET relay_id = excluded.relay_id, epoch = greatest(stored.epoch + 1, excluded.epoch),
        expires_at = clock_timestamp() + $3 * interval '1 second',
        publisher = NULL, state = 'idle', last_error = NULL, holes = NULL
    WHERE stored.expires_at <= clock_timestamp() OR stored.relay_id = excluded.relay_id
    RETURNING epoch
)
SELECT true AS held, epoch, NULL::uuid AS relay_id, NULL::text AS relay_name, NULL::text AS host,
    NULL::bigint AS process_id, NULL::text AS process_started, NULL::float8 AS expires_in
FROM held
UNION ALL
SELECT false, lease.epoch, lease.relay_id, owner.relay_name, owner.host, owner.process_id, owner.process_started,
    greatest(extract(epoch FROM lease.expires_at - clock_timestamp()), 0)::float8
FROM outbox_lease AS lease
LEFT JOIN outbox_relay AS owner ON owner.relay_id = lease.relay_id
WHERE lease.subscription = $1 AND lease.partition_id = 0 AND NOT EXISTS (SELECT FROM held)
