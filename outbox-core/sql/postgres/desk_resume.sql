-- Lets a paused subscription go on. Takes ROW EXCLUSIVE on outbox_meta; uses its primary key.
UPDATE outbox_meta SET value = '' WHERE name = 'paused:' || $1 AND value <> ''
