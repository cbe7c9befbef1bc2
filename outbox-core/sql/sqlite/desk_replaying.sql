-- Takes no lock in WAL mode. Walks the primary key of one subscription. ?1 subscription.
SELECT count(*) FROM outbox_dead_letter WHERE subscription = ?1 AND replayed AND state IN ('waiting', 'draining');
