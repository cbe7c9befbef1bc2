-- Records an address with the time and who adopted it. Takes ROW EXCLUSIVE on outbox_meta and locks one row, found by its
-- primary key.
INSERT INTO outbox_meta (name, value)
VALUES ('address:' || $1, to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value
