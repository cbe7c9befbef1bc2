-- Takes no lock in WAL mode. Reads the table, which has a row per relay
-- and per export at work.
SELECT relay_name, max((julianday('now') - 2440587.5) * 86400.0 - seen_at, 0.0) AS seen_seconds_ago
FROM outbox_relay WHERE relay_name NOT LIKE 'export:%' AND relay_name NOT LIKE 'hold:%' ORDER BY relay_name, started_at;
