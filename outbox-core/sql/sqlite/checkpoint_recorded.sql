-- Takes no lock in WAL mode. Walks the primary key of one subscription. ?1 subscription.
SELECT position FROM outbox_dead_letter WHERE subscription = ?1 AND state = 'blocked' ORDER BY position;
