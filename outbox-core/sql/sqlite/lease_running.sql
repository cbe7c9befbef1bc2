-- The leases that run, with their owners as far as they are known. Takes no lock in WAL mode. Reads the few rows.
SELECT l.subscription, l.partition_id, l.relay_id, r.relay_name, r.host, r.process_id, r.process_started, r.serves
FROM outbox_lease l LEFT JOIN outbox_relay r ON r.relay_id = l.relay_id
WHERE l.expires_at > (julianday('now') - 2440587.5) * 86400.0 AND l.subscription IN (SELECT value FROM json_each(?1));
