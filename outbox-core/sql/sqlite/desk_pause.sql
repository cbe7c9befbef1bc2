-- Takes the write lock. Goes by the primary key. ?1 subscription, ?2 note. One that is paused already stays as it is.
INSERT INTO outbox_meta (name, value) VALUES ('paused:' || ?1, ?2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE value = '';
