-- Tells the relay, after checkpoint_park.sql in the same transaction. Takes ROW EXCLUSIVE on outbox_meta; uses its primary key.
INSERT INTO outbox_meta AS stored (name, value) VALUES ('letters:' || $1, '1')
ON CONFLICT (name) DO UPDATE SET value = (stored.value::bigint + 1)::text
