-- From now on a writer that looks at outbox_wake tells, until $1 seconds from now. A sequence is not MVCC, so this holds at
-- once and for every snapshot. Takes an advisory lock of this outbox until it ends, which only relays take; draws nothing.
WITH alone AS MATERIALIZED (
    SELECT pg_advisory_xact_lock((hashtext('outbox wake')::bigint << 32) | 'outbox_wake'::regclass::oid::bigint)::text AS lock
), found AS MATERIALIZED (
    -- by its argument: whatever the plan, the look comes after the lock
    SELECT pg_sequence_last_value(CASE WHEN lock IS NOT NULL THEN 'outbox_wake'::regclass END) AS until,
        (date_part('epoch', clock_timestamp()) * 1000000)::bigint AS now
    FROM alone
)
SELECT until > now AS continued,
    -- larger than any value it ever had, so that nobody takes it for an older one
    setval('outbox_wake', greatest(abs(until) + 1, now + ($1::float8 * 1000000)::bigint)) AS until,
    coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox_event', 'position')::regclass), 0) AS last_position,
    'outbox:' || 'outbox_wake'::regclass::oid AS channel
FROM found
