-- The readers of the log with the relay that works each, without holds. Takes no lock in WAL mode. Reads three tables with a
-- row per reader, partition or relay.
SELECT reader.subscription, reader.partition_id, reader.position, reader.open_positions, reader.proof,
    max(reader.epoch, coalesce((SELECT max(lease.epoch) FROM outbox_lease AS lease
        WHERE lease.subscription = reader.subscription AND lease.partition_id = reader.partition_id), 0)) AS epoch,
    (SELECT min(coalesce(relay.relay_name, lease.relay_id)) FROM outbox_lease AS lease
        LEFT JOIN outbox_relay AS relay ON relay.relay_id = lease.relay_id
        WHERE lease.subscription = reader.subscription
            AND lease.expires_at > (julianday('now') - 2440587.5) * 86400.0) AS owner
FROM outbox_checkpoint AS reader
WHERE reader.subscription NOT LIKE 'hold:%'
ORDER BY reader.subscription, reader.partition_id;
