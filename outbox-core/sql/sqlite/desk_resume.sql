-- Takes the write lock. Goes by the primary key. ?1 subscription.
UPDATE outbox_meta SET value = '' WHERE name = 'paused:' || ?1 AND value <> '';
