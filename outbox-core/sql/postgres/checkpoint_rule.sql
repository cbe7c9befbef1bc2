-- Locks the row that says how a subscription is shared, which it makes where there is none, and reads it. Takes ROW EXCLUSIVE
-- on outbox_meta; uses its primary key.
INSERT INTO outbox_meta AS stored (name, value) VALUES ('partitions:' || $1, $2)
ON CONFLICT (name) DO UPDATE SET value = stored.value
RETURNING value
