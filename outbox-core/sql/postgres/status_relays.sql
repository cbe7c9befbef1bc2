-- The relays alive. Takes ACCESS SHARE on outbox_relay; reads the table, which has a row per relay
-- and per export at work.
SELECT relay_name, greatest(extract(epoch FROM clock_timestamp() - seen_at), 0)::float8 AS seen_seconds_ago
FROM outbox_relay WHERE relay_name NOT LIKE 'export:%' AND relay_name NOT LIKE 'hold:%' ORDER BY relay_name, started_at
