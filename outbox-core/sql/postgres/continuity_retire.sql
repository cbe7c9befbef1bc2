-- Gives up every address but this one: it stays on record, under the time at which it was given up. A relay may not delete here.
-- Takes ROW EXCLUSIVE on outbox_meta; reads its few rows.
UPDATE outbox_meta
SET name = 'left:' || to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || ':' || substr(name, 9)
WHERE name LIKE 'address:%' AND name <> 'address:' || $1
