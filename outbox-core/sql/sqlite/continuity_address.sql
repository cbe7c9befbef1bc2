-- Records an address ?1 with the time and who adopted it, ?2. Takes the write lock. Finds its row by the primary key.
INSERT INTO outbox_meta (name, value) VALUES ('address:' || ?1, strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z' || ?2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value;
