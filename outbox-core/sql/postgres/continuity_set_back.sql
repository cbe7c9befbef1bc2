-- Sets a checkpoint back under a new epoch, which shuts out whoever worked it before. Takes ROW EXCLUSIVE on outbox_checkpoint
-- and locks one row, found by its primary key.
UPDATE outbox_checkpoint
SET position = $3, open_positions = $4, proof = $5, epoch = $6, updated_at = clock_timestamp()
WHERE subscription = $1 AND partition_id = $2
