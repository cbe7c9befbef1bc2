-- Shuts every epoch out of a subscription and answers with its checkpoints. Takes ROW EXCLUSIVE on outbox_checkpoint and locks
-- the rows, found by the primary key.
UPDATE outbox_checkpoint SET epoch = epoch + 1 WHERE subscription = $1
RETURNING partition_id, position, open_positions, proof, epoch
