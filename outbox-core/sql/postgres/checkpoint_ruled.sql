-- Says how a subscription is shared; the row is locked already. Takes ROW EXCLUSIVE on outbox_meta; uses its primary key.
UPDATE outbox_meta SET value = $2 WHERE name = 'partitions:' || $1
