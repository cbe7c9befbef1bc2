-- Says how a subscription is shared. Takes the write lock. Goes by the primary key. ?1 subscription, ?2 what the row says.
UPDATE outbox_meta SET value = ?2 WHERE name = 'partitions:' || ?1;
