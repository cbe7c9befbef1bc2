-- Writes the row ?1. Takes the write lock. Finds it by the primary key.
INSERT INTO outbox_meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value;
