-- Records what a person did: the row is named after it and the time. Takes ROW EXCLUSIVE on outbox_meta; uses its primary key.
INSERT INTO outbox_meta (name, value)
VALUES ($1 || ':' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
