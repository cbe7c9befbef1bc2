-- Writes a row. Takes ROW EXCLUSIVE on outbox_meta and locks one row, found by its primary key.
INSERT INTO outbox_meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value
