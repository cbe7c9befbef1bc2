-- Tells the relay, after desk_decide.sql in the same transaction. Takes the write lock. Goes by the primary key. ?1 subscription.
INSERT INTO outbox_meta (name, value) VALUES ('letters:' || ?1, '1')
ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT);
