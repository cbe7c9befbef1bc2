-- Pauses a subscription; one that is paused already stays as it is. Takes ROW EXCLUSIVE on outbox_meta; uses its primary key.
INSERT INTO outbox_meta AS stored (name, value) VALUES ('paused:' || $1, $2)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE stored.value = ''
