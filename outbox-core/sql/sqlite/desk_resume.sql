-- Takes the write lock. Goes by the primary key. ?1 subscription.
DELETE FROM outbox_meta WHERE name = 'paused:' || ?1;
