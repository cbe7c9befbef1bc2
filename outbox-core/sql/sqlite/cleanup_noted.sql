-- What the last pass recorded. Takes no lock in WAL mode. Finds its row by the primary key.
SELECT value FROM outbox_meta WHERE name = 'cleanup';
