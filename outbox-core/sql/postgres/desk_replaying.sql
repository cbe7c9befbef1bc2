-- How many letters of a replay are still to be sent. Takes ACCESS SHARE on outbox_dead_letter; uses its primary key.
SELECT count(*) FROM outbox_dead_letter WHERE subscription = $1 AND replayed AND state IN ('waiting', 'draining')
