-- Removes dead letters that were given up, $1 seconds after the decision at the earliest and not before cleanup has come past
-- their events; and those of subscriptions that are no more, as long after they failed last. At most $2 of them. Takes ROW
-- EXCLUSIVE on outbox_dead_letter and ACCESS SHARE on outbox_checkpoint, outbox_lease and outbox_meta; walks the first, and looks
-- into the others by their primary keys. Two cleaners pass each other by.
WITH gone AS MATERIALIZED (
    SELECT subscription, partition_id, position
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
    LIMIT $2 FOR UPDATE OF letter SKIP LOCKED
)
DELETE FROM outbox_dead_letter AS letter
USING gone
WHERE letter.subscription = gone.subscription AND letter.partition_id = gone.partition_id AND letter.position = gone.position
