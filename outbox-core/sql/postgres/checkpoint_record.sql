-- Records events that will not pass, after checkpoint_save.sql in the same transaction; what an operator gave up stays so.
-- Takes ROW EXCLUSIVE on outbox_dead_letter; uses its primary key.
INSERT INTO outbox_dead_letter AS stored
    (subscription, partition_id, position, event_id, topic, event_key, state, reason, attempts, occurred_at)
SELECT $1, 0, letter.position, letter.event_id, letter.topic, letter.event_key, 'blocked', letter.reason, letter.attempts, 'epoch'
FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::integer[])
    AS letter (position, event_id, topic, event_key, reason, attempts)
ON CONFLICT (subscription, partition_id, position) DO UPDATE
SET reason = excluded.reason, attempts = excluded.attempts, last_failed_at = clock_timestamp(),
    occurred_at = excluded.occurred_at
WHERE stored.state = 'blocked'
