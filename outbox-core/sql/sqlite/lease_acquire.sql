-- Takes the write lock. Goes by the primary keys. ?1 subscription, ?2 relay id, ?3 length in seconds,
-- ?4 partition.
-- No row: another relay's lease still runs. The epoch never falls behind the checkpoint's, even if leases were removed.
INSERT INTO outbox_lease (subscription, partition_id, relay_id, epoch, expires_at)
VALUES (?1, ?4, ?2,
    1 + coalesce((SELECT epoch FROM outbox_checkpoint WHERE subscription = ?1 AND partition_id = ?4), 0),
    (julianday('now') - 2440587.5) * 86400.0 + ?3)
ON CONFLICT (subscription, partition_id) DO UPDATE
SET relay_id = excluded.relay_id, epoch = max(outbox_lease.epoch + 1, excluded.epoch), expires_at = excluded.expires_at,
    publisher = NULL, state = 'idle', last_error = NULL, holes = NULL
WHERE outbox_lease.expires_at <= (julianday('now') - 2440587.5) * 86400.0 OR outbox_lease.relay_id = excluded.relay_id
RETURNING epoch;
