-- Says that a relay lives, renews its leases and forgets relays silent for a day. Takes ROW EXCLUSIVE on outbox_relay and
-- outbox_lease; finds the rows by their primary keys, the silent ones by reading the few rows of outbox_relay.
WITH me AS (
    INSERT INTO outbox_relay AS stored (relay_id, relay_name, host, process_id, process_started, state)
    VALUES ($1, $2, $3, $4, $5, 'running')
    ON CONFLICT (relay_id) DO UPDATE SET seen_at = clock_timestamp()
), forgotten AS (
    DELETE FROM outbox_relay WHERE relay_id IN (
        -- whoever is in another relay's hands is left to that relay
        SELECT relay_id FROM outbox_relay
        WHERE seen_at < clock_timestamp() - interval '1 day' AND relay_id <> $1 FOR UPDATE SKIP LOCKED
    )
)
UPDATE outbox_lease AS lease
SET expires_at = clock_timestamp() + $6 * interval '1 second',
    publisher = held.publisher, state = held.state, last_error = held.last_error, holes = held.holes
FROM unnest($7::text[], $8::bigint[], $9::text[], $10::text[], $11::text[], $12::text[])
    AS held (subscription, epoch, publisher, state, last_error, holes)
WHERE lease.subscription = held.subscription AND lease.partition_id = 0
    AND lease.relay_id = $1 AND lease.epoch = held.epoch
RETURNING lease.subscription
