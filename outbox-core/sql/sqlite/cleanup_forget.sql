-- Removes dead letters that were given up, ?1 seconds after the decision at the earliest and not before cleanup has come past
-- their events; and those of subscriptions that are no more, as long after they failed last. At most ?2 of them. Takes the write
-- lock. Walks the table, and looks into the others by their primary keys.
DELETE FROM outbox_dead_letter WHERE rowid IN (
    SELECT d.rowid
    FROM outbox_dead_letter d
    WHERE (julianday('now') - julianday(coalesce(d.settled_at, d.last_failed_at))) * 86400.0 >= ?1
        AND (
            d.state IN ('skipped', 'discarded')
                AND d.position <= (SELECT CAST(value AS INTEGER) FROM outbox_meta WHERE name = 'floor')
                -- no relay has seen the decision yet
                AND NOT EXISTS (
                    SELECT 1 FROM outbox_checkpoint c, json_each(replace(replace(c.open_positions, '{', '['), '}', ']')) o
                    WHERE c.subscription = d.subscription AND d.position BETWEEN o.value ->> 0 AND o.value ->> 1
                )
            OR NOT EXISTS (SELECT 1 FROM outbox_checkpoint c WHERE c.subscription = d.subscription)
                AND NOT EXISTS (
                    SELECT 1 FROM outbox_lease l
                    WHERE l.subscription = d.subscription AND l.expires_at > (julianday('now') - 2440587.5) * 86400.0
                )
        )
    LIMIT ?2
);
