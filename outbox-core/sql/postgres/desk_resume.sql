-- Lets a paused subscription go on. Takes ROW EXCLUSIVE on outbox_meta; uses its primary key.
DELETE FROM outbox_meta WHERE name = 'paused:' || $1
