-- The events recorded as not passing. Takes ACCESS SHARE on outbox_dead_letter; uses its primary key.
SELECT position FROM outbox_dead_letter
WHERE subscription = $1 AND state = 'blocked' ORDER BY position
