-- Writes the first checkpoint; of one that is there only the epoch moves, and only upwards. Takes ROW EXCLUSIVE on
-- outbox_checkpoint and locks one row, found by its primary key.
INSERT INTO outbox_checkpoint AS stored (subscription, partition_id, epoch, position, open_positions, proof)
VALUES ($1, 0, $2, $3, $4, $5)
ON CONFLICT (subscription, partition_id) DO UPDATE SET epoch = excluded.epoch WHERE stored.epoch <= excluded.epoch
