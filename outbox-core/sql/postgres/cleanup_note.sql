-- Records what is wrong with cleaning; an empty text for nothing. Takes ROW EXCLUSIVE on outbox_meta and locks one row.
INSERT INTO outbox_meta AS stored (name, value) VALUES ('cleanup', $1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE stored.value <> excluded.value
