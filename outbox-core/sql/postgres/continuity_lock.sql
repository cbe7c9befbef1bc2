-- Keeps relays from taking leases and writing checkpoints for the moment that a repair takes. Takes SHARE ROW EXCLUSIVE on
-- both tables; waits for no writer of events, who uses neither.
LOCK TABLE outbox_checkpoint, outbox_lease IN SHARE ROW EXCLUSIVE MODE
