-- Raises the floor to ?1. Takes the write lock. Finds its row by the primary key.
UPDATE outbox_meta SET value = CAST(max(CAST(value AS INTEGER), ?1) AS TEXT) WHERE name = 'floor';
