-- Lets no earlier owner renew the lease. Takes ROW EXCLUSIVE on outbox_lease and locks one row, found by its primary key.
UPDATE outbox_lease SET epoch = $3, expires_at = clock_timestamp() WHERE subscription = $1 AND partition_id = $2
