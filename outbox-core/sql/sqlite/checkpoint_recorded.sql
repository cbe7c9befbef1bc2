-- The events recorded as not passing, and when an operator decided about them; those that were given up too, which a relay may
-- still owe: they hold no copy, and so no time. Takes no lock in WAL mode. Walks the primary key of one subscription. ?1
-- subscription.
SELECT position, state, settled_at FROM outbox_dead_letter
WHERE subscription = ?1 AND (state = 'blocked' OR state IN ('skipped', 'discarded') AND occurred_at = '1970-01-01T00:00:00.000000Z')
ORDER BY position;
