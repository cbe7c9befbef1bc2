-- Records how many of the segments are to be used. Takes ROW EXCLUSIVE on outbox_meta and locks one row.
INSERT INTO outbox_meta AS stored (name, value) VALUES ('segments', $1)
ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE stored.value <> excluded.value
