-- Lets letters wait again that were taken and not sent, after checkpoint_save.sql in the same transaction. Takes ROW EXCLUSIVE
-- on outbox_dead_letter; uses its primary key.
UPDATE outbox_dead_letter SET state = 'waiting'
WHERE subscription = $1 AND position = ANY ($2::bigint[]) AND state = 'draining'
