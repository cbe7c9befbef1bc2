-- Takes no lock in WAL mode. Walks the primary key up to the first event of ?1 or later: read once, by a new subscription.
SELECT position FROM outbox_event WHERE julianday(occurred_at) >= julianday(?1) ORDER BY position LIMIT 1;
