-- Lets positions go on above ?1. Takes the write lock. Reads SQLite's own table of sequences, which has a row per table.
UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = trim('outbox_event', '"');
