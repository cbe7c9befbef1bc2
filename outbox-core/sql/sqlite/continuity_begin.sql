-- Makes the row that positions are drawn by where there is none. Takes the write lock. Reads SQLite's own table of sequences.
INSERT INTO sqlite_sequence (name, seq)
SELECT trim('outbox_event', '"'), 0
WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = trim('outbox_event', '"'));
