-- Whether anybody holds a lease of a subscription. Takes no lock in WAL mode. Goes by the primary key. ?1 subscription.
SELECT EXISTS (SELECT 1 FROM outbox_lease WHERE subscription = ?1);
