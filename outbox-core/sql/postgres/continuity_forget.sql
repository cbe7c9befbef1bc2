-- Forgets every address but this one. Takes ROW EXCLUSIVE on outbox_meta; reads its few rows.
DELETE FROM outbox_meta WHERE name LIKE 'address:%' AND name <> 'address:' || $1
