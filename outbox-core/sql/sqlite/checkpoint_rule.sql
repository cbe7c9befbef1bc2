-- Makes the row that says how a subscription is shared where there is none, and reads it. Takes the write lock. Goes by the
-- primary key. ?1 subscription, ?2 what a new row says.
INSERT INTO outbox_meta (name, value) VALUES ('partitions:' || ?1, ?2)
ON CONFLICT (name) DO UPDATE SET value = outbox_meta.value
RETURNING value;
