-- Which of these positions have a letter, whatever its state. Takes ACCESS SHARE on outbox_dead_letter; uses its primary key.
SELECT position FROM outbox_dead_letter WHERE subscription = $1 AND position = ANY ($2::bigint[]) ORDER BY position
