-- Ends a lease at once, if its epoch is still this one. Takes ROW EXCLUSIVE on outbox_lease and locks one row, found by
-- its primary key.
UPDATE outbox_lease SET expires_at = least(expires_at, clock_timestamp())
WHERE subscription = $1 AND partition_id = 0 AND epoch = $2
