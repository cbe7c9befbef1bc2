-- The readers of the log with the relay that works each, without holds. Takes ACCESS SHARE on outbox_checkpoint, outbox_lease
-- and outbox_relay; reads all three, which have a row per reader, partition or relay.
SELECT reader.subscription, reader.partition_id, reader.position, reader.open_positions, reader.proof,
    greatest(reader.epoch, (SELECT max(lease.epoch) FROM outbox_lease AS lease
        WHERE lease.subscription = reader.subscription AND lease.partition_id = reader.partition_id)) AS epoch,
    (SELECT min(coalesce(relay.relay_name, lease.relay_id::text)) FROM outbox_lease AS lease
        LEFT JOIN outbox_relay AS relay ON relay.relay_id = lease.relay_id
        WHERE lease.subscription = reader.subscription AND lease.expires_at > clock_timestamp()) AS owner
FROM outbox_checkpoint AS reader
WHERE reader.subscription NOT LIKE 'hold:%'
ORDER BY reader.subscription, reader.partition_id
