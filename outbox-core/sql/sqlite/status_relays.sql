-- Takes no lock in WAL mode. Reads the table, which has a row per relay.
SELECT relay_name, max((julianday('now') - 2440587.5) * 86400.0 - seen_at, 0.0) AS seen_seconds_ago
FROM outbox_relay ORDER BY relay_name, started_at;
