-- Lets no earlier owner renew the lease. Takes the write lock. Finds its row by the primary key. ?1 subscription, ?2 partition,
-- ?3 epoch.
UPDATE outbox_lease SET epoch = ?3, expires_at = 0 WHERE subscription = ?1 AND partition_id = ?2;
