-- Removes the records of events that did pass, after checkpoint_save.sql in the same transaction; also of one that an operator
-- gave up too late. Takes ROW EXCLUSIVE on outbox_dead_letter; uses its primary key.
DELETE FROM outbox_dead_letter
WHERE subscription = $1 AND position = ANY ($2::bigint[])
    AND (state IN ('blocked', 'draining') OR state IN ('skipped', 'discarded') AND occurred_at = 'epoch')
