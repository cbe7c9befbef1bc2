-- Lets writers be silent again, if nobody has armed since the value $1 that they told. Takes an advisory lock of this outbox
-- until it ends, which only relays take.
WITH alone AS MATERIALIZED (
    SELECT pg_advisory_xact_lock((hashtext('outbox wake')::bigint << 32) | 'outbox_wake'::regclass::oid::bigint)::text AS lock
), found AS MATERIALIZED (
    SELECT pg_sequence_last_value(CASE WHEN lock IS NOT NULL THEN 'outbox_wake'::regclass END) AS until FROM alone
)
SELECT setval('outbox_wake', -until) AS until FROM found WHERE until BETWEEN 1 AND $1
