-- Says that a relay lives and what it serves, renews its leases, forgets relays silent for a day, and looks at the others: the
-- relays that are alive, the leases that run and the rules of the subscriptions in $14. Takes ROW EXCLUSIVE on outbox_relay
-- and outbox_lease and ACCESS SHARE on outbox_meta; finds its rows by the primary keys, reads the few rows of the first two.
WITH me AS (
    INSERT INTO outbox_relay AS stored (relay_id, relay_name, host, process_id, process_started, state, serves, lease_seconds)
    VALUES ($1, $2, $3, $4, $5, 'running', $15, $6)
    ON CONFLICT (relay_id) DO UPDATE SET seen_at = clock_timestamp(), serves = excluded.serves,
        lease_seconds = excluded.lease_seconds
), forgotten AS (
    DELETE FROM outbox_relay WHERE relay_id IN (
        -- whoever is in another relay's hands is left to that relay
        SELECT relay_id FROM outbox_relay
        WHERE seen_at < clock_timestamp() - interval '1 day' AND relay_id <> $1 FOR UPDATE SKIP LOCKED
    )
), renewed AS (
    UPDATE outbox_lease AS lease
    SET expires_at = clock_timestamp() + $6 * interval '1 second',
        publisher = held.publisher, state = held.state, last_error = held.last_error, holes = held.holes
    FROM unnest($7::text[], $8::integer[], $9::bigint[], $10::text[], $11::text[], $12::text[], $13::text[])
        AS held (subscription, partition_id, epoch, publisher, state, last_error, holes)
    WHERE lease.subscription = held.subscription AND lease.partition_id = held.partition_id
        AND lease.relay_id = $1 AND lease.epoch = held.epoch
    RETURNING lease.subscription, lease.partition_id
)
SELECT 'kept' AS kind, subscription AS name, partition_id, NULL::uuid AS relay_id, NULL::text AS host,
    NULL::bigint AS process_id, NULL::text AS process_started, NULL::text AS content
FROM renewed
UNION ALL
SELECT 'relay', relay_name, NULL, relay_id, host, process_id, process_started, serves
FROM outbox_relay WHERE seen_at > clock_timestamp() - lease_seconds * interval '1 second' AND serves <> ''
UNION ALL
SELECT 'lease', lease.subscription, lease.partition_id, lease.relay_id, owner.host, owner.process_id, owner.process_started,
    owner.relay_name
FROM outbox_lease AS lease
LEFT JOIN outbox_relay AS owner ON owner.relay_id = lease.relay_id
WHERE lease.subscription = ANY ($14::text[]) AND lease.expires_at > clock_timestamp()
UNION ALL
SELECT 'rule', name, NULL, NULL, NULL, NULL, NULL, value
FROM outbox_meta
WHERE name IN (
    SELECT kind || asked.subscription
    FROM unnest($14::text[]) AS asked (subscription), unnest(ARRAY['partitions:', 'paused:', 'letters:']) AS kind
)
