-- The events recorded as not passing, and when an operator decided about them; those that were given up too, which a relay may
-- still owe: they hold no copy, and so no time. Takes ACCESS SHARE on outbox_dead_letter; uses its primary key.
SELECT position, state, settled_at FROM outbox_dead_letter
WHERE subscription = $1 AND (state = 'blocked' OR state IN ('skipped', 'discarded') AND occurred_at = 'epoch')
ORDER BY position
