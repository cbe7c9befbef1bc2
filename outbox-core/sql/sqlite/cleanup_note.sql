-- Records what is wrong with cleaning, ?1; an empty text for nothing. Takes the write lock. Goes by the primary key.
INSERT INTO outbox_meta (name, value) VALUES ('cleanup', ?1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE outbox_meta.value <> excluded.value;
