-- Records events that will not pass, unless the checkpoint has a newer epoch, which the answer says. Takes ROW SHARE on
-- outbox_checkpoint and locks its row against a claim; takes ROW EXCLUSIVE on outbox_dead_letter; uses the primary keys.
WITH guard AS MATERIALIZED (
    SELECT epoch FROM outbox_checkpoint WHERE subscription = $1 AND partition_id = 0 FOR UPDATE
), recorded AS (
    INSERT INTO outbox_dead_letter AS stored
        (subscription, partition_id, position, event_id, topic, event_key, state, reason, attempts)
    SELECT $1, 0, letter.position, letter.event_id, letter.topic, letter.event_key, 'blocked', letter.reason, letter.attempts
    FROM unnest($3::bigint[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::integer[])
        AS letter (position, event_id, topic, event_key, reason, attempts)
    WHERE NOT EXISTS (SELECT FROM guard WHERE epoch > $2)
    ON CONFLICT (subscription, partition_id, position) DO UPDATE
    SET reason = excluded.reason, attempts = excluded.attempts, last_failed_at = clock_timestamp()
)
SELECT EXISTS (SELECT FROM guard WHERE epoch > $2) AS fenced
