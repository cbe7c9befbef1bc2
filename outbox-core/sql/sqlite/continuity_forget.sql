-- Forgets every address but ?1. Takes the write lock. Reads the few rows of the table.
DELETE FROM outbox_meta WHERE name LIKE 'address:%' AND name <> 'address:' || ?1;
