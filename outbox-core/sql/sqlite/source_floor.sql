-- The highest position cleanup has removed. Takes no lock in WAL mode. Finds its row by the primary key.
SELECT CAST(value AS INTEGER) FROM outbox_meta WHERE name = 'floor';
