-- How a subscription is shared. Takes no lock in WAL mode. Goes by the primary key. ?1 subscription.
SELECT value FROM outbox_meta WHERE name = 'partitions:' || ?1;
