-- How many dead letters cleanup_forget.sql would remove. Takes ACCESS SHARE on outbox_dead_letter, outbox_checkpoint, outbox_lease
-- and outbox_meta; walks the first, and looks into the others by their primary keys. $1 seconds that they are kept.
SELECT count(*)
FROM outbox_dead_letter AS letter
WHERE coalesce(settled_at, last_failed_at) <= clock_timestamp() - make_interval(secs => $1)
    AND (
        state IN ('skipped', 'discarded') AND position <= (SELECT value::bigint FROM outbox_meta WHERE name = 'floor')
            -- no relay has seen the decision yet
            AND NOT EXISTS (SELECT FROM outbox_checkpoint AS owing
                WHERE owing.subscription = letter.subscription AND owing.open_positions::int8multirange @> letter.position)
        OR NOT EXISTS (SELECT FROM outbox_checkpoint AS known WHERE known.subscription = letter.subscription)
            AND NOT EXISTS (
                SELECT FROM outbox_lease AS lease
                WHERE lease.subscription = letter.subscription AND expires_at > clock_timestamp()
            )
    )
