-- Gives back some leases of a subscription, each unless it is no longer the relay's under that epoch. The epoch ends with it, so
-- that a renewal on its way does not revive what was given back. Takes ROW EXCLUSIVE on
-- outbox_lease; finds the rows by the primary key.
UPDATE outbox_lease AS lease
SET epoch = lease.epoch + 1, expires_at = least(expires_at, clock_timestamp()), state = 'idle', holes = NULL
FROM unnest($3::integer[], $4::bigint[]) AS held (partition_id, epoch)
WHERE lease.subscription = $1 AND lease.partition_id = held.partition_id AND lease.relay_id = $2 AND lease.epoch = held.epoch
