-- Makes writers of one key wait for one another before any of them draws a position, where they lock nothing else in common.
-- Takes an advisory lock for each key, to the end of the transaction; always in the same order, so that two transactions with
-- the same keys do not wait for each other. Keys of other outboxes have other locks. $1 the keys, such as ARRAY['order-7'].
SELECT pg_advisory_xact_lock(lock)
FROM (
    SELECT DISTINCT hashtextextended(event_key, 'outbox_event'::regclass::oid::bigint) AS lock
    FROM unnest($1::text[]) AS event_key
    WHERE event_key <> ''
    ORDER BY lock
) AS locks
