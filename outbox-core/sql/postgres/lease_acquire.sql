-- Takes the leases that are free, expired or the relay's own, of the partitions in $8; for each other one says whose it is. A
-- new lease has a higher epoch than any before, the checkpoint's among them. Takes ROW EXCLUSIVE on outbox_relay and
-- outbox_lease and locks the rows in the order of their partitions, found by the primary keys.
WITH me AS (
    INSERT INTO outbox_relay AS stored (relay_id, relay_name, host, process_id, process_started, state)
    VALUES ($2, $4, $5, $6, $7, 'running')
    ON CONFLICT (relay_id) DO UPDATE SET seen_at = clock_timestamp()
), held AS (
    INSERT INTO outbox_lease AS stored (subscription, partition_id, relay_id, epoch, expires_at)
    SELECT $1, asked.partition_id, $2,
        1 + coalesce((
            SELECT epoch FROM outbox_checkpoint AS checkpoint
            WHERE checkpoint.subscription = $1 AND checkpoint.partition_id = asked.partition_id
        ), 0),
        clock_timestamp() + $3 * interval '1 second'
    FROM unnest($8::integer[]) AS asked (partition_id)
    ORDER BY asked.partition_id
    ON CONFLICT (subscription, partition_id) DO UPDATE
    SET relay_id = excluded.relay_id, epoch = greatest(stored.epoch + 1, excluded.epoch),
        expires_at = clock_timestamp() + $3 * interval '1 second',
        publisher = NULL, state = 'idle', last_error = NULL, holes = NULL
    WHERE stored.expires_at <= clock_timestamp() OR stored.relay_id = excluded.relay_id
    RETURNING partition_id, epoch
)
SELECT partition_id, true AS held, epoch, NULL::uuid AS relay_id, NULL::text AS relay_name, NULL::text AS host,
    NULL::bigint AS process_id, NULL::text AS process_started, NULL::float8 AS expires_in
FROM held
UNION ALL
SELECT lease.partition_id, false, lease.epoch, lease.relay_id, owner.relay_name, owner.host, owner.process_id,
    owner.process_started, greatest(extract(epoch FROM lease.expires_at - clock_timestamp()), 0)::float8
FROM outbox_lease AS lease
LEFT JOIN outbox_relay AS owner ON owner.relay_id = lease.relay_id
WHERE lease.subscription = $1 AND lease.partition_id = ANY ($8::integer[])
    AND NOT EXISTS (SELECT FROM held WHERE held.partition_id = lease.partition_id)
