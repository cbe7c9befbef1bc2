-- Takes no lock in WAL mode. Goes by the primary keys. ?1 subscription, ?2 partition.
SELECT l.relay_id, l.epoch, l.expires_at - (julianday('now') - 2440587.5) * 86400.0 AS expires_in,
    r.relay_name, r.host, r.process_id, r.process_started
FROM outbox_lease l LEFT JOIN outbox_relay r ON r.relay_id = l.relay_id
WHERE l.subscription = ?1 AND l.partition_id = ?2;
