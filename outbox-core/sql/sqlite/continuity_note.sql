-- Records what a person did, ?2: the row is named after it, ?1, and the time. Takes the write lock. Uses the primary key.
INSERT INTO outbox_meta (name, value) VALUES (?1 || ':' || strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z', ?2)
ON CONFLICT (name) DO UPDATE SET value = value || '; ' || excluded.value;
